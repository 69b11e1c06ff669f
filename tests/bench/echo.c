// A static program for provided.al2023 that answers its event: a client of the Runtime API and nothing else. Linked with
// musl it starts as programs of Rust and C do that are made for Lambda, without a C library that looks around first.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST (7 << 20)

static int api;
static char answer[MOST], request[MOST];

static int fail(const char* why) {
  fprintf(stderr, "%s\n", why);
  exit(1);
}

static void send_all(const char* bytes, size_t size) {
  for (ssize_t n; size > 0; bytes += n, size -= (size_t)n) {
    if ((n = send(api, bytes, size, MSG_NOSIGNAL)) <= 0) fail("the Runtime API has closed the connection");
  }
}

// Reads one answer, zero-terminated; gives where its body begins.
static char* receive(size_t* size) {
  size_t have = 0, want = 0;
  char* body = NULL;
  while (!body || have < want) {
    const ssize_t n = recv(api, answer + have, MOST - 1 - have, 0);
    if (n <= 0) fail("the Runtime API has closed the connection");
    answer[have += (size_t)n] = 0;
    if (body || !(body = strstr(answer, "\r\n\r\n"))) continue;
    body += 4;
    const char* length = strcasestr(answer, "\r\ncontent-length:");
    *size = length && length < body ? strtoul(length + 17, NULL, 10) : 0;
    if ((want = (size_t)(body - answer) + *size) >= MOST) fail("the event is too large");
  }
  return body;
}

int main(void) {
  const char* address = getenv("AWS_LAMBDA_RUNTIME_API");
  const char* colon = address ? strchr(address, ':') : NULL;
  if (!colon) return fail("AWS_LAMBDA_RUNTIME_API is not set: this program runs in Lambda");
  char host[64] = "";
  strncat(host, address, (size_t)(colon - address) < sizeof host ? (size_t)(colon - address) : sizeof host - 1);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1))};
  api = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (inet_pton(AF_INET, host, &to.sin_addr) != 1 || connect(api, (struct sockaddr*)&to, sizeof to) != 0)
    return fail("cannot connect to the Runtime API");
  while (1) {
    static const char kNext[] = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: lambda\r\n\r\n";
    size_t size, ignored;
    send_all(kNext, sizeof kNext - 1);
    const char* event = receive(&size);
    const char* id = strcasestr(answer, "\r\nlambda-runtime-aws-request-id:");
    if (!id || id > event) return fail("no event");
    id += strlen("\r\nlambda-runtime-aws-request-id:");
    id += strspn(id, " ");
    const int head = snprintf(request, sizeof request,
                              "POST /2018-06-01/runtime/invocation/%.*s/response HTTP/1.1\r\nHost: lambda\r\n"
                              "Content-Length: %zu\r\n\r\n",
                              (int)strcspn(id, "\r"), id, size);
    memcpy(request + head, event, size);
    send_all(request, (size_t)head + size);
    receive(&ignored);
  }
}
