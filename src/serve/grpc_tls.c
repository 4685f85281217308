/* See grpc_tls.h. */
#include "serve/grpc_tls.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>

enum { HANDSHAKE_BYTES_MAX = 32 << 10 };

struct tls_server {
    gnutls_certificate_credentials_t credentials;
    gnutls_priority_t priority;
};

struct tls_link {
    gnutls_session_t session;
    bool greeted;
};

/* What HTTP/2 asks for: no older TLS (RFC 9113, 9.2), ciphers that also authenticate. */
static const char priorities[] = "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-CIPHER-ALL:+AES-256-GCM:+AES-128-GCM:"
                                 "+CHACHA20-POLY1305:-KX-ALL:+ECDHE-RSA:+ECDHE-ECDSA:%SERVER_PRECEDENCE";

static gnutls_datum_t datum_of(const char *text) {
    struct slice slice = slice_of(text);
    return (gnutls_datum_t){(unsigned char *)(uintptr_t)slice.ptr, (unsigned)slice.len};
}

int tls_server_new(struct tls_server **out, const char *cert, const char *key, struct error *err) {
    struct tls_server *server = calloc(1, sizeof *server);
    *out = NULL;
    if (!server) return error_set(err, VT_ENOMEM, "no memory for TLS");
    gnutls_datum_t chain = datum_of(cert), secret = datum_of(key);
    int code = gnutls_certificate_allocate_credentials(&server->credentials);
    if (!code) code = gnutls_certificate_set_x509_key_mem(server->credentials, &chain, &secret, GNUTLS_X509_FMT_PEM);
    if (code >= 0) code = gnutls_priority_init(&server->priority, priorities, NULL);
    if (code < 0) {
        tls_server_free(server);
        error_set(err, VT_EINVAL, "gRPC cannot use this certificate and key: %s", gnutls_strerror(code));
        return error_hint(err, "both must be PEM, and the key must be of the certificate");
    }
    *out = server;
    return 0;
}

void tls_server_free(struct tls_server *server) {
    if (!server) return;
    if (server->priority) gnutls_priority_deinit(server->priority);
    if (server->credentials) gnutls_certificate_free_credentials(server->credentials);
    free(server);
}

struct tls_link *tls_link_new(const struct tls_server *server, int fd) {
    static const gnutls_datum_t h2 = {(unsigned char *)(uintptr_t) "h2", 2};
    struct tls_link *link = calloc(1, sizeof *link);
    if (!link) return NULL;
    if (gnutls_init(&link->session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_NO_TICKETS) < 0) {
        free(link);
        return NULL;
    }
    if (gnutls_priority_set(link->session, server->priority) < 0 ||
        gnutls_credentials_set(link->session, GNUTLS_CRD_CERTIFICATE, server->credentials) < 0 ||
        gnutls_alpn_set_protocols(link->session, &h2, 1, GNUTLS_ALPN_MANDATORY) < 0) {
        tls_link_free(link);
        return NULL;
    }
    gnutls_certificate_server_set_request(link->session, GNUTLS_CERT_IGNORE);
    gnutls_handshake_set_max_packet_length(link->session, HANDSHAKE_BYTES_MAX);
    gnutls_transport_set_int(link->session, fd);
    return link;
}

void tls_link_free(struct tls_link *link) {
    if (!link) return;
    if (link->greeted) gnutls_bye(link->session, GNUTLS_SHUT_WR);
    gnutls_deinit(link->session);
    free(link);
}

bool tls_link_greet(struct tls_link *link) {
    int code = gnutls_handshake(link->session);
    /* A warning may be passed over, and the other side goes on. */
    for (int i = 0; i < 8 && code < 0 && code != GNUTLS_E_AGAIN && !gnutls_error_is_fatal(code); i++)
        code = gnutls_handshake(link->session);
    link->greeted = code == GNUTLS_E_SUCCESS;
    if (code < 0 && code != GNUTLS_E_AGAIN) gnutls_alert_send_appropriate(link->session, code);
    return link->greeted || code == GNUTLS_E_AGAIN;
}

bool tls_link_is_greeted(const struct tls_link *link) {
    return link->greeted;
}

bool tls_link_waits_to_write(const struct tls_link *link) {
    return gnutls_record_get_direction(link->session) == 1;
}

/* In the words of the socket. A second handshake within a connection is not taken: HTTP/2 forbids it. */
static ssize_t in_errno(ssize_t code) {
    if (code >= 0) return code;
    errno = code == GNUTLS_E_AGAIN || code == GNUTLS_E_WARNING_ALERT_RECEIVED ? EAGAIN
            : code == GNUTLS_E_INTERRUPTED                                    ? EINTR
                                                                              : EPROTO;
    return -1;
}

ssize_t tls_link_recv(struct tls_link *link, void *data, size_t len) {
    return in_errno(gnutls_record_recv(link->session, data, len));
}

ssize_t tls_link_send(struct tls_link *link, const void *data, size_t len) {
    return in_errno(gnutls_record_send(link->session, data, len));
}
