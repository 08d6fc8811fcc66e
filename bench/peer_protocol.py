"""What peers share: one JSON object a line on stdin, one answer a line on stdout."""

import json
import sys


def serve(*operations):
    """Answers requests with the function that `op` names, until the input ends."""
    by_name = {operation.__name__: operation for operation in operations}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"ok": by_name[request["op"]](request)}
        except Exception as error:  # the other side names the request
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
