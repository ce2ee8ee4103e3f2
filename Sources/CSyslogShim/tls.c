// SPDX-License-Identifier: GPL-3.0-or-later

#include "csyslogshim.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

struct csyslog_tls {
    SSL *ssl;
    int last;
    int system_error;
};

static void say(char *message, size_t room, const char *what) {
    unsigned long code = ERR_peek_last_error();
    const char *why = code != 0 ? ERR_reason_error_string(code) : NULL;
    if (ERR_SYSTEM_ERROR(code)) why = strerror(ERR_GET_REASON(code));
    snprintf(message, room, "%s%s%s", what, why != NULL ? ": " : "", why != NULL ? why : "");
    ERR_clear_error();
}

static int load(SSL_CTX *context, const char *authorities, const char *certificate, const char *key, char *message,
                size_t room) {
    if (authorities != NULL ? SSL_CTX_load_verify_file(context, authorities) != 1
                            : SSL_CTX_set_default_verify_paths(context) != 1)
        return say(message, room, authorities != NULL ? authorities : "the system's certificates"), -1;
    if (certificate == NULL || key == NULL) return 0;
    if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1) return say(message, room, certificate), -1;
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) return say(message, room, key), -1;
    if (SSL_CTX_check_private_key(context) != 1) return say(message, room, key), -1;
    return 0;
}

static int expect_name(SSL *ssl, const char *name) {
    X509_VERIFY_PARAM *parameters = SSL_get0_param(ssl);
    X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (X509_VERIFY_PARAM_set1_ip_asc(parameters, name) == 1) return 1;
    ERR_clear_error();
    return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

/// No terminal is asked for the passphrase of a key.
static int no_passphrase(char *buffer, int size, int writing, void *data) {
    (void)buffer, (void)size, (void)writing, (void)data;
    return 0;
}

csyslog_tls *csyslog_tls_new(int descriptor, const char *name, const char *authorities, const char *certificate,
                             const char *key, char *message, size_t room) {
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    csyslog_tls *session = calloc(1, sizeof *session);
    if (context == NULL || session == NULL) {
        say(message, room, "no memory for TLS");
        SSL_CTX_free(context);
        free(session);
        return NULL;
    }
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    // What waits to be sent moves in memory.
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    bool is_ready = load(context, authorities, certificate, key, message, room) == 0;
    if (is_ready) {
        session->ssl = SSL_new(context);
        is_ready = session->ssl != NULL && SSL_set_fd(session->ssl, descriptor) == 1 && expect_name(session->ssl, name);
        if (!is_ready) say(message, room, name);
    }
    SSL_CTX_free(context);
    if (is_ready) return session;
    SSL_free(session->ssl);
    free(session);
    return NULL;
}

/// OpenSSL writes with write(2), which sends SIGPIPE to this very thread when the receiver is gone: it is blocked for the call
/// and taken back before it is unblocked.
static int shielded(csyslog_tls *session, int (*call)(csyslog_tls *, const void *, size_t), const void *bytes, size_t count) {
    sigset_t deadly, before;
    sigemptyset(&deadly);
    sigaddset(&deadly, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &deadly, &before);
    ERR_clear_error();
    errno = 0;
    int result = call(session, bytes, count);
    session->system_error = errno;
    session->last = result > 0 ? SSL_ERROR_NONE : SSL_get_error(session->ssl, result);
    if (session->system_error == EPIPE) {
        struct timespec at_once = {0, 0};
        sigtimedwait(&deadly, NULL, &at_once);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}

static int outcome(csyslog_tls *session) {
    switch (session->last) {
    case SSL_ERROR_NONE: return csyslog_tls_done;
    case SSL_ERROR_WANT_READ: return csyslog_tls_wants_read;
    case SSL_ERROR_WANT_WRITE: return csyslog_tls_wants_write;
    case SSL_ERROR_ZERO_RETURN: return csyslog_tls_closed;
    default: return csyslog_tls_failed;
    }
}

static int handshake(csyslog_tls *session, const void *bytes, size_t count) {
    (void)bytes, (void)count;
    return SSL_connect(session->ssl);
}

static int write_some(csyslog_tls *session, const void *bytes, size_t count) {
    return SSL_write(session->ssl, bytes, count > 1 << 20 ? 1 << 20 : (int)count);
}

static int read_some(csyslog_tls *session, const void *bytes, size_t count) {
    (void)bytes, (void)count;
    uint8_t thrown_away[1024];
    return SSL_read(session->ssl, thrown_away, sizeof thrown_away);
}

static int say_goodbye(csyslog_tls *session, const void *bytes, size_t count) {
    (void)bytes, (void)count;
    return SSL_shutdown(session->ssl);
}

int csyslog_tls_handshake(csyslog_tls *session) {
    shielded(session, handshake, NULL, 0);
    return outcome(session);
}

ssize_t csyslog_tls_send(csyslog_tls *session, const uint8_t *bytes, size_t count) {
    int sent = shielded(session, write_some, bytes, count);
    return sent > 0 ? sent : outcome(session);
}

int csyslog_tls_drain(csyslog_tls *session) {
    shielded(session, read_some, NULL, 0);
    return outcome(session);
}

uint64_t csyslog_tls_written(csyslog_tls *session) { return BIO_number_written(SSL_get_wbio(session->ssl)); }

uint64_t csyslog_tls_read(csyslog_tls *session) { return BIO_number_read(SSL_get_rbio(session->ssl)); }

void csyslog_tls_failure(csyslog_tls *session, char *message, size_t room) {
    long verdict = SSL_get_verify_result(session->ssl);
    if (verdict != X509_V_OK) {
        snprintf(message, room, "its certificate is refused: %s", X509_verify_cert_error_string(verdict));
    } else if (session->last == SSL_ERROR_ZERO_RETURN || (session->last == SSL_ERROR_SYSCALL && session->system_error == 0)) {
        snprintf(message, room, "it closed the connection");
    } else if (ERR_peek_last_error() != 0) {
        say(message, room, "TLS failed");
    } else {
        snprintf(message, room, "%s", strerror(session->system_error));
    }
    ERR_clear_error();
}

void csyslog_tls_free(csyslog_tls *session) {
    if (SSL_is_init_finished(session->ssl) && (session->last == SSL_ERROR_NONE || session->last == SSL_ERROR_WANT_READ ||
                                                session->last == SSL_ERROR_WANT_WRITE))
        shielded(session, say_goodbye, NULL, 0);
    SSL_free(session->ssl);
    free(session);
}
