#include "rt/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/str.h"
#include "rt/reactor.h"
#include "rt/socket.h"
#include "rt/tls_stream.h"

namespace virga::rt {
namespace {

struct Free {
  void operator()(SSL_CTX* p) const { SSL_CTX_free(p); }
  void operator()(X509* p) const { X509_free(p); }
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
  void operator()(BIO* p) const { BIO_free_all(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

Owned<BIO> memory(std::string_view text) {
  return Owned<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}
std::string text_in(BIO* bio) {
  char* data;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<size_t>(size)};
}

[[noreturn]] void refuse(std::string_view what) { throw TlsError(cat(what, ": ", openssl_error(), ".")); }

void use(SSL_CTX* context, const Certificate& certificate) {
  auto bio = memory(certificate.chain_pem);
  Owned<X509> leaf(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (!leaf) refuse("The certificate is not PEM");
  if (SSL_CTX_use_certificate(context, leaf.get()) != 1) refuse("The certificate cannot be used");
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    const Owned<X509> owned(next);
    if (SSL_CTX_add1_chain_cert(context, next) != 1) refuse("The certificate's chain cannot be used");
  }
  ERR_clear_error();
  bio = memory(certificate.key_pem);
  const Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
  if (!key) refuse("The private key is not PEM");
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1) refuse("The private key is not the certificate's");
}

constexpr unsigned char kProtocols[] = "\x02h2\x08http/1.1";

int choose_protocol(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* offered,
                    unsigned offered_size, void*) {
  // Ours first; a client that offers neither goes on without ALPN.
  return SSL_select_next_proto(const_cast<unsigned char**>(out), size, kProtocols, sizeof kProtocols - 1, offered,
                               offered_size) == OPENSSL_NPN_NEGOTIATED
             ? SSL_TLSEXT_ERR_OK
             : SSL_TLSEXT_ERR_NOACK;
}

}  // namespace

Certificate self_signed(const std::vector<std::string>& names, int days) {
  Owned<EVP_PKEY> key(EVP_EC_gen("P-256"));
  Owned<X509> x(X509_new());
  if (!key || !x) refuse("Cannot make a key");
  X509_set_version(x.get(), X509_VERSION_3);
  const std::string serial = random_bytes(8);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(x.get()), *reinterpret_cast<const uint64_t*>(serial.data()) >> 1);
  X509_gmtime_adj(X509_getm_notBefore(x.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(x.get()), 86400L * days);
  X509_set_pubkey(x.get(), key.get());
  X509_NAME* name = X509_get_subject_name(x.get());
  const std::string common = names.empty() ? "virga" : names.front();
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(common.c_str()), -1, -1,
                             0);
  X509_set_issuer_name(x.get(), name);
  std::string alternatives;
  for (const std::string& n : names) {
    unsigned char address[16];
    const bool ip = inet_pton(AF_INET, n.c_str(), address) == 1 || inet_pton(AF_INET6, n.c_str(), address) == 1;
    append(alternatives, alternatives.empty() ? "" : ",", ip ? "IP:" : "DNS:", n);
  }
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, x.get(), x.get(), nullptr, nullptr, 0);
  const auto extend = [&](int id, const std::string& value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str());
    if (!extension) refuse(cat("Cannot make a certificate for ", value));
    X509_add_ext(x.get(), extension, -1);
    X509_EXTENSION_free(extension);
  };
  if (!alternatives.empty()) extend(NID_subject_alt_name, alternatives);
  extend(NID_basic_constraints, "critical,CA:TRUE");
  if (X509_sign(x.get(), key.get(), EVP_sha256()) == 0) refuse("Cannot sign a certificate");
  Owned<BIO> chain(BIO_new(BIO_s_mem())), secret(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(chain.get(), x.get());
  PEM_write_bio_PKCS8PrivateKey(secret.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return {text_in(chain.get()), text_in(secret.get())};
}

struct TlsServer::Impl {
  Owned<SSL_CTX> context{SSL_CTX_new(TLS_server_method())};
};

TlsServer::TlsServer(const Certificate& certificate) : impl_(std::make_unique<Impl>()) {
  SSL_CTX* context = impl_->context.get();
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20");
  SSL_CTX_set_alpn_select_cb(context, choose_protocol, nullptr);
  use(context, certificate);
}

TlsServer::~TlsServer() = default;

Task<std::unique_ptr<Stream>> TlsServer::accept(Reactor& reactor, int fd, Millis timeout) {
  auto stream = std::make_unique<TlsStream>(reactor, fd, SSL_new(impl_->context.get()));
  SSL_set_accept_state(stream->ssl());
  co_await stream->handshake(timeout);
  co_return std::move(stream);
}

struct TlsClient::Impl {
  Owned<SSL_CTX> context{SSL_CTX_new(TLS_client_method())};
  bool verify = true;
};

TlsClient::TlsClient(const TlsClientOptions& options) : impl_(std::make_unique<Impl>()) {
  SSL_CTX* context = impl_->context.get();
  impl_->verify = options.verify;
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_verify(context, options.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  if (options.system_roots) SSL_CTX_set_default_verify_paths(context);
  auto bio = memory(options.roots_pem);
  while (X509* root = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), root);
    X509_free(root);
  }
  ERR_clear_error();
  std::string protocols;
  for (const std::string& protocol : options.protocols) {
    protocols.push_back(static_cast<char>(protocol.size()));
    protocols += protocol;
  }
  if (!protocols.empty()) {
    SSL_CTX_set_alpn_protos(context, reinterpret_cast<const unsigned char*>(protocols.data()),
                            static_cast<unsigned>(protocols.size()));
  }
}

TlsClient::~TlsClient() = default;

Task<std::unique_ptr<Stream>> TlsClient::connect(std::string host, uint16_t port, Millis timeout) {
  Reactor& reactor = *Reactor::here();
  const int fd = co_await connect_socket(host, port, timeout);
  SSL* ssl = SSL_new(impl_->context.get());
  unsigned char address[16];
  const bool v4 = inet_pton(AF_INET, host.c_str(), address) == 1;
  if (v4 || inet_pton(AF_INET6, host.c_str(), address) == 1) {
    X509_VERIFY_PARAM_set1_ip(SSL_get0_param(ssl), address, v4 ? 4 : 16);
  } else {
    SSL_set_tlsext_host_name(ssl, host.c_str());
    SSL_set1_host(ssl, host.c_str());
  }
  auto stream = std::make_unique<TlsStream>(reactor, fd, ssl);
  SSL_set_connect_state(ssl);
  auto done = co_await as_result(stream->handshake(timeout));
  if (!done) {
    const Error* error = error_of(done);
    co_return err::unreachable(
        cat("Cannot connect to ", host, ":", port, ": ", error ? error->message : describe(done.error())));
  }
  co_return std::move(stream);
}

}  // namespace virga::rt
