"""Executes one notebook for execute.ts.

A line of JSON comes in: {"notebook", "folder", "timeout"}. Lines of JSON go out: {"kernel": its process},
{"cell": index} when one starts, at last {"cells": [{"outputs", "execution_count"}], "failure"}.
When stdin ends, everything is stopped.
"""

import asyncio
import json
import logging
import os
import re
import sys
import threading
from queue import Empty


# What a kernel prints by itself goes to stderr, not among the messages.
messages = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def tell(**message):
    print(json.dumps(message), file=messages, flush=True)


try:
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionComplete, CellExecutionError, CellTimeoutError, DeadKernelError
    from nbclient.util import ensure_async
except ImportError as error:
    tell(cells=[], failure={"kind": "other", "text": f"{sys.executable} cannot be used: {error}"})
    sys.exit(1)

# Deno's kernel says that it is idle before it has sent a cell's last outputs.
SETTLE = 0.1
# An interrupted cell gets this long to stop.
GRACE = 2
IMPORT = re.compile(r"""^\s*import\b[^;"'`]*?["']([^"'\n]+)["']""", re.MULTILINE)


class Client(NotebookClient):
    """Reports cells as they start, waits for late outputs, and finds out why a cell did not run."""

    current = None

    async def async_execute_cell(self, cell, cell_index, *args, **options):
        if cell.cell_type == "code":
            self.current = cell_index
            tell(cell=cell_index)
        return await super().async_execute_cell(cell, cell_index, *args, **options)

    async def _async_poll_output_msg(self, parent_msg_id, cell, cell_index):
        await super()._async_poll_output_msg(parent_msg_id, cell, cell_index)
        while True:
            try:
                message = await ensure_async(self.kc.iopub_channel.get_msg(timeout=SETTLE))
            except Empty:
                return
            if message["parent_header"].get("msg_id") == parent_msg_id:
                try:
                    self.process_message(message, cell, cell_index)
                except CellExecutionComplete:
                    pass

    async def _async_handle_timeout(self, timeout, cell=None):
        await ensure_async(self.km.interrupt_kernel())
        try:
            await ensure_async(self.kc.shell_channel.get_msg(timeout=GRACE))
        except Empty:
            pass
        raise CellTimeoutError.error_from_timeout_and_cell("interrupted", timeout, cell)

    async def _check_raise_for_error(self, cell, cell_index, exec_reply):
        try:
            await super()._check_raise_for_error(cell, cell_index, exec_reply)
        except CellExecutionError as error:
            # Of what fails before the cell is run, the kernel does not say why.
            if not any(output.output_type == "error" for output in cell.outputs):
                error.unresolved = await self.unresolved_import(cell)
            raise

    async def unresolved_import(self, cell):
        """What is wrong with an import of a cell, or None; an import that is computed is told of."""
        for specifier in IMPORT.findall(cell.source):
            code = f"await import([{json.dumps(specifier)}].join())"
            reply = await ensure_async(self.kc.execute(code, reply=True, timeout=60))
            if reply["content"]["status"] == "error":
                return reply["content"]["evalue"]
        return None


def failure_of(error, client):
    cell = client.current
    if isinstance(error, CellTimeoutError):
        return {"kind": "timeout", "cell": cell, "text": ""}
    if isinstance(error, DeadKernelError):
        return {"kind": "dead", "cell": cell, "text": ""}
    if isinstance(error, CellExecutionError):
        outputs = client.nb.cells[cell].outputs
        for output in outputs:
            if output.output_type == "error":
                text = "\n".join(output.traceback) or f"{output.ename}: {output.evalue}"
                return {"kind": "error", "cell": cell, "text": text}
        return {"kind": "silent", "cell": cell, "text": getattr(error, "unresolved", None) or ""}
    return {"kind": "other", "cell": cell, "text": f"{type(error).__name__}: {error}"}


async def main():
    request = json.loads(sys.stdin.readline())
    notebook = nbformat.from_dict(request["notebook"])
    client = Client(
        notebook,
        kernel_name="deno",
        timeout=request["timeout"],
        resources={"metadata": {"path": request["folder"]}},
        on_notebook_start=lambda notebook: tell(kernel=client.km.provisioner.pid),
    )
    client.log.setLevel(logging.CRITICAL)
    failure = None
    loop = asyncio.get_running_loop()
    execution = asyncio.ensure_future(client.async_execute())

    def stop():
        client.shutdown_kernel = "immediate"
        execution.cancel()

    def watch():
        while sys.stdin.readline():
            pass
        loop.call_soon_threadsafe(stop)

    threading.Thread(target=watch, daemon=True).start()
    try:
        await execution
    except asyncio.CancelledError:
        failure = {"kind": "stopped", "cell": client.current, "text": ""}
    except Exception as error:
        failure = failure_of(error, client)
    cells = [
        {"outputs": cell.outputs, "execution_count": cell.execution_count}
        if cell.cell_type == "code"
        else None
        for cell in notebook.cells
    ]
    tell(cells=cells, failure=failure)
    # Not by way of the interpreter's end: it would wait for the thread that reads stdin.
    os._exit(0)


asyncio.run(main())
