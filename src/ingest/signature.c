/* The signature of a webhook. */
#include "ingest/ingest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

enum { MAC_SIZE = 32 };

bool convex_signature_ok(struct slice secret, struct slice body, struct slice header) {
    static const struct slice scheme = {"sha256=", 7};
    uint8_t given[MAC_SIZE], own[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    while (header.len && (*header.ptr == ' ' || *header.ptr == '\t')) header = slice_from(header, 1);
    while (header.len && (header.ptr[header.len - 1] == ' ' || header.ptr[header.len - 1] == '\t')) header.len--;
    if (!secret.len || secret.len > INT32_MAX || !slice_starts(header, scheme)) return false;
    if (!hex_decode(slice_from(header, scheme.len), given, MAC_SIZE)) return false;
    const unsigned char *text = (const unsigned char *)(body.ptr ? body.ptr : "");
    if (!HMAC(EVP_sha256(), secret.ptr, (int)secret.len, text, body.len, own, &size) || size != MAC_SIZE) return false;
    return CRYPTO_memcmp(given, own, MAC_SIZE) == 0;
}
