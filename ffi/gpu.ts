/** Symbols of GPUs. @module */

import { nonblocking } from "./symbol.ts";

const write = {
  parameters: [
    "u32", // uint32_t buffer
    "f64", // double offset
    "buffer", // const uint8_t *data
    "f64", // double bytes
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const read = {
  parameters: [
    "u32", // uint32_t buffer
    "f64", // double offset
    "buffer", // uint8_t *data
    "f64", // double bytes
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const createLibrary = {
  parameters: [
    "u32", // uint32_t device
    "buffer", // const mf_gpu_source *source
    "buffer", // const uint8_t *bytes
    "buffer", // uint32_t *out
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const createPipeline = {
  parameters: [
    "u32", // uint32_t library
    "u32", // uint32_t constants
    "buffer", // const uint8_t *bytes
    "f64", // double length
    "buffer", // uint32_t *out
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

const wait = {
  parameters: [
    "u32", // uint32_t submission
    "f64", // double seconds
    "buffer", // mf_gpu_times *times
    "buffer", // mf_call *call
  ],
  result: "i32",
} as const;

/** `mf_gpu_*` and `mf_text_take`. */
export const gpuSymbols = {
  mf_text_take: {
    parameters: [
      "u32", // uint32_t text
      "buffer", // uint8_t *utf8
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_gpu_list: {
    parameters: [
      "buffer", // uint32_t *text
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_gpu_report: {
    parameters: [
      "buffer", // uint32_t *text
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_gpu_open: {
    parameters: [
      "buffer", // const uint8_t *engine
      "buffer", // uint32_t *device
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_gpu_describe: {
    parameters: [
      "u32", // uint32_t object
      "buffer", // uint32_t *text
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_gpu_versions: {
    parameters: [
      "u32", // uint32_t device
      "buffer", // uint32_t *text
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_gpu_memory: {
    parameters: [
      "u32", // uint32_t device
      "u32", // uint32_t action
      "buffer", // double *bytes
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_gpu_buffer_create: {
    parameters: [
      "u32", // uint32_t device
      "f64", // double bytes
      "u32", // uint32_t storage
      "buffer", // const uint8_t *label
      "buffer", // uint32_t *buffer
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_gpu_write: write,
  mf_gpu_write_async: nonblocking("mf_gpu_write", write),
  mf_gpu_read: read,
  mf_gpu_read_async: nonblocking("mf_gpu_read", read),
  mf_gpu_library_create: createLibrary,
  mf_gpu_library_create_async: nonblocking("mf_gpu_library_create", createLibrary),
  mf_gpu_lint: {
    parameters: [
      "buffer", // const mf_gpu_source *source
      "buffer", // const uint8_t *bytes
      "buffer", // uint32_t *out
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_gpu_pipeline_create: createPipeline,
  mf_gpu_pipeline_create_async: nonblocking("mf_gpu_pipeline_create", createPipeline),
  mf_gpu_stream_create: {
    parameters: [
      "u32", // uint32_t device
      "buffer", // const uint8_t *label
      "buffer", // uint32_t *stream
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_gpu_event_create: {
    parameters: [
      "u32", // uint32_t device
      "buffer", // uint32_t *event
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_gpu_event_get: {
    parameters: [
      "u32", // uint32_t event
      "buffer", // double *value
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_gpu_event_set: {
    parameters: [
      "u32", // uint32_t event
      "f64", // double value
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_gpu_commit: {
    parameters: [
      "u32", // uint32_t stream
      "buffer", // const uint8_t *program
      "f64", // double bytes
      "buffer", // uint32_t *submission
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_gpu_record: {
    parameters: [
      "u32", // uint32_t stream
      "buffer", // const uint8_t *program
      "f64", // double bytes
      "buffer", // uint32_t *recording
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_gpu_replay: {
    parameters: [
      "u32", // uint32_t stream
      "u32", // uint32_t recording
      "buffer", // uint32_t *submission
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_gpu_stream_mark: {
    parameters: [
      "u32", // uint32_t stream
      "buffer", // uint32_t *submission
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
  mf_gpu_wait: wait,
  mf_gpu_wait_async: nonblocking("mf_gpu_wait", wait),
  mf_gpu_capture: {
    parameters: [
      "u32", // uint32_t device
      "buffer", // const uint8_t *path
      "buffer", // mf_call *call
    ],
    result: "i32",
  },
} as const satisfies Deno.ForeignLibraryInterface;
