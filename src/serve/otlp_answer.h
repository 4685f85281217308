/* What senders of OTLP are told, over HTTP (protobuf or JSON) and over gRPC (protobuf): the export response with its
 * partial success, and google.rpc.Status. */
#ifndef SERVE_OTLP_ANSWER_H
#define SERVE_OTLP_ANSWER_H

#include "base/buf.h"

enum rpc_code { /* of google.rpc.Code, what we use */
                RPC_OK = 0,
                RPC_CANCELLED = 1,
                RPC_INVALID_ARGUMENT = 3,
                RPC_DEADLINE_EXCEEDED = 4,
                RPC_NOT_FOUND = 5,
                RPC_PERMISSION_DENIED = 7,
                RPC_RESOURCE_EXHAUSTED = 8,
                RPC_UNIMPLEMENTED = 12,
                RPC_INTERNAL = 13,
                RPC_UNAVAILABLE = 14,
                RPC_UNAUTHENTICATED = 16
};

enum rpc_code rpc_code_of_http(unsigned status);
enum rpc_code rpc_code_of_error(int code); /* of VT_E… */

/* ExportTraceServiceResponse and its sisters. Nothing rejected and no message: an empty message. `json_name` is the
 * JSON name of the count ("rejectedSpans"); NULL asks for protobuf. */
void otlp_put_response(struct buf *out, const char *json_name, uint64_t rejected, struct slice message);
/* google.rpc.Status; retry_ms > 0 adds a RetryInfo. */
void otlp_put_status(struct buf *out, bool json, enum rpc_code code, struct slice message, unsigned retry_ms);

#endif
