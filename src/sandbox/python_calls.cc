// What each call of a Python function passes through, as a module for its interpreter: a frame in, the handler, a frame
// out (frames.h). The same steps in Python cost three times as much, as they find the processor's caches cold after
// every switch. Built once for all versions by the stable interface (PEP 384). What a call seldom needs is its
// bootstrap's, runtimes/python/bootstrap.py, whose names it is told by `set_up`.
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030A0000
#include <Python.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

namespace {

enum : unsigned char { kInvoke = 2 };                // to us
enum : unsigned char { kResponse = 3, kError = 4 };  // from us
constexpr size_t kHead = 5;                          // a frame's length, and what it is
constexpr size_t kRoom = 64 * 1024;                  // read at once
constexpr size_t kKept = 1024 * 1024;                // of memory, between calls
constexpr size_t kMostTrace = 1024;
constexpr size_t kLeastEnvironment = 16 * 1024;  // its memory
constexpr char kTraceName[] = "_X_AMZN_TRACE_ID";

struct Release {
  void operator()(PyObject* object) const { Py_DecRef(object); }
};
using Object = std::unique_ptr<PyObject, Release>;

Object share(PyObject* object) {
  Py_IncRef(object);
  return Object(object);
}

uint32_t number_at(const char* bytes) {
  uint32_t n;
  std::memcpy(&n, bytes, sizeof n);
  return n;
}

// What the bootstrap speaks through. Of the bytes that came [begin, end) are not used yet; `kept` are frames that were
// passed over, as pairs of kind and body.
struct Channel {
  PyObject_HEAD;
  int fd;
  char* memory;
  size_t size, begin, end;
  PyObject* kept;   // a list
  PyObject* ended;  // is called when the other end is gone; null: the process ends

  size_t here() const { return end - begin; }
  const char* at() const { return memory + begin; }
  // The frame that is next, with its length, when it is whole; else 0.
  size_t frame() const {
    if (here() < 4) return 0;
    const size_t length = 4 + size_t(number_at(at()));
    return here() < length ? 0 : length;
  }
  void drop(size_t bytes) {
    begin += bytes;
    if (begin < end) return;
    begin = end = 0;
    if (size <= kKept) return;
    std::free(memory);
    memory = nullptr;
    size = 0;
  }
  // Room for what the frame that has begun still needs.
  bool make_room() {
    if (begin > 0) {
      std::memmove(memory, at(), here());
      end -= begin;
      begin = 0;
    }
    size_t bytes = here() < 4 ? kRoom : 4 + size_t(number_at(at()));
    if (bytes < kRoom) bytes = kRoom;
    if (bytes <= size) return true;
    auto* const larger = static_cast<char*>(std::realloc(memory, bytes));
    if (!larger) return false;
    memory = larger;
    size = bytes;
    return true;
  }
};

// The bootstrap's.
PyObject* names;        // its module's variables
PyObject* environment;  // what os.environ knows, in bytes
PyObject *scan, *decode, *context_of, *failed, *unreadable, *unanswerable;

PyObject *trace_key, *trace_value;                                                // as `environment` has it
PyObject *zero, *nothing, *id, *tenant, *trace, *request_id, *tenant_id, *flush;  // a number and words
char trace_variable[sizeof kTraceName + kMostTrace];

// False: an exception is set.
bool wait_for_bytes(Channel& channel) {
  pollfd ready{channel.fd, POLLIN, 0};
  while (true) {
    if (PyErr_CheckSignals() != 0) return false;  // also those that came while no code of Python's ran
    PyThreadState* const thread = PyEval_SaveThread();
    // Who waits by receiving is woken, for nothing, when Virga has read an answer, too.
    ssize_t n = ::poll(&ready, 1, -1);
    if (n > 0) n = ::recv(channel.fd, channel.memory + channel.end, channel.size - channel.end, 0);
    const int error = errno;
    PyEval_RestoreThread(thread);
    if (n > 0) {
      channel.end += static_cast<size_t>(n);
      return true;
    }
    if (n == 0) {
      if (channel.ended) Object(PyObject_CallFunctionObjArgs(channel.ended, nullptr));
      ::_exit(0);  // Virga is gone
    }
    if (error != EINTR) {
      errno = error;
      PyErr_SetFromErrno(PyExc_OSError);
      return false;
    }
  }
}

// The next frame lies whole at the channel's beginning; its length, 0 with an exception.
size_t await_bytes(Channel& channel) {
  while (true) {
    if (const size_t length = channel.frame()) return length;
    if (!channel.make_room()) {
      PyErr_NoMemory();
      return 0;
    }
    if (!wait_for_bytes(channel)) return 0;
  }
}

// Its kind and its body, in the channel's memory.
struct Frame {
  unsigned char kind;
  const char* body;
  size_t size;
};
Frame frame_of(const Channel& channel, size_t length) {
  if (length < kHead) return {};
  return {static_cast<unsigned char>(channel.at()[4]), channel.at() + kHead, length - kHead};
}

Object pair_of(const Frame& frame) {
  return Object(Py_BuildValue("(iy#)", frame.kind, frame.body, static_cast<Py_ssize_t>(frame.size)));
}

// The first frame that was passed over; nothing when there is none.
Object next_kept(Channel& channel) {
  if (PyList_Size(channel.kept) == 0) return nullptr;
  Object pair = share(PyList_GetItem(channel.kept, 0));
  PyList_SetSlice(channel.kept, 0, 1, nullptr);
  return pair;
}

long kind_of(PyObject* pair) { return PyLong_AsLong(PyTuple_GetItem(pair, 0)); }

Object read_pair(Channel& channel) {
  const size_t length = await_bytes(channel);
  if (!length) return nullptr;
  Object pair = pair_of(frame_of(channel, length));
  channel.drop(length);
  return pair;
}

bool send_frame(const Channel& channel, unsigned char kind, const char* body, size_t size) {
  char head[kHead];
  const auto length = static_cast<uint32_t>(size + 1);
  std::memcpy(head, &length, 4);
  head[4] = static_cast<char>(kind);
  iovec parts[2] = {{head, kHead}, {const_cast<char*>(body), size}};
  while (parts[0].iov_len + parts[1].iov_len > 0) {
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    PyThreadState* const thread = PyEval_SaveThread();
    const ssize_t n = ::sendmsg(channel.fd, &message, MSG_NOSIGNAL);
    const int error = errno;
    PyEval_RestoreThread(thread);
    if (n >= 0) {
      auto sent = static_cast<size_t>(n);
      for (iovec& part : parts) {
        const size_t of_this = sent < part.iov_len ? sent : part.iov_len;
        part = {static_cast<char*>(part.iov_base) + of_this, part.iov_len - of_this};
        sent -= of_this;
      }
    } else if (error != EINTR) {
      ::_exit(0);  // Virga is gone
    } else if (PyErr_CheckSignals() != 0) {
      return false;
    }
  }
  return true;
}

// As json.loads() reads it, which first looks for an encoding and for what surrounds the value.
Object parse(const char* bytes, size_t size) {
  const Object text(PyUnicode_DecodeUTF8(bytes, static_cast<Py_ssize_t>(size), "surrogatepass"));
  if (!text) return nullptr;
  if (const Object found{PyObject_CallFunctionObjArgs(scan, text.get(), zero, nullptr)}) {
    PyObject* const value = PyTuple_GetItem(found.get(), 0);
    PyObject* const end = PyTuple_GetItem(found.get(), 1);
    if (!value || !end) return nullptr;
    if (PyLong_AsSsize_t(end) == PyUnicode_GetLength(text.get())) return share(value);
  } else if (PyErr_ExceptionMatches(PyExc_StopIteration)) {
    PyErr_Clear();
  } else {
    return nullptr;
  }
  return Object(PyObject_CallFunctionObjArgs(decode, text.get(), nullptr));
}

// parse(bytes): the value of a JSON text.
PyObject* parse_bytes(PyObject*, PyObject* bytes) {
  char* text;
  Py_ssize_t size;
  if (PyBytes_AsStringAndSize(bytes, &text, &size) != 0) return nullptr;
  return parse(text, static_cast<size_t>(size)).release();
}

// _X_AMZN_TRACE_ID, which is another with each call: C's setenv() keeps the memory of every value that there ever was,
// so it lies in memory of ours.
bool set_trace(PyObject* wanted) {
  Py_ssize_t size = 0;
  const char* const text = wanted ? PyUnicode_AsUTF8AndSize(wanted, &size) : "";
  if (!text) return false;
  PyObject* const known = PyDict_GetItemWithError(environment, trace_key);
  if (!known && PyErr_Occurred()) return false;
  if (size == 0) {
    Py_CLEAR(trace_value);
    ::unsetenv(kTraceName);
    return !known || PyDict_DelItem(environment, trace_key) == 0;
  }
  const Object value(PyBytes_FromStringAndSize(text, size));
  if (!value) return false;
  if (static_cast<size_t>(size) >= kMostTrace) {
    Py_CLEAR(trace_value);
    ::setenv(kTraceName, text, 1);
  } else {
    const bool ours = known && known == trace_value;  // nobody has set another meanwhile
    std::memcpy(trace_variable + sizeof kTraceName, text, static_cast<size_t>(size) + 1);
    if (!ours) ::putenv(trace_variable);
    Py_IncRef(value.get());
    Py_XDECREF(std::exchange(trace_value, value.get()));
  }
  return PyDict_SetItem(environment, trace_key, value.get()) == 0;
}

// set_environment(variables): what os.environ.update() does for Python's side; C's follows by publish_environment.
PyObject* set_environment(PyObject*, PyObject* variables) {
  PyObject *name, *value;
  Py_ssize_t at = 0;
  while (PyDict_Next(variables, &at, &name, &value)) {
    const Object key(PyUnicode_AsEncodedString(name, "utf-8", "surrogateescape"));
    const Object bytes(key ? PyUnicode_AsEncodedString(value, "utf-8", "surrogateescape") : nullptr);
    if (!bytes || PyDict_SetItem(environment, key.get(), bytes.get()) != 0) return nullptr;
  }
  Py_RETURN_NONE;
}

// publish_environment(): all that Python's side knows becomes C's, at once and in memory of ours: setenv() would look
// up and keep each variable.
PyObject* publish_environment(PyObject*, PyObject*) {
  static char* memory;
  static size_t size;
  PyObject *name, *value;
  Py_ssize_t at = 0;
  const size_t places = (static_cast<size_t>(PyDict_Size(environment)) + 1) * sizeof(char*);
  size_t needed = places;
  while (PyDict_Next(environment, &at, &name, &value))
    needed += static_cast<size_t>(PyBytes_Size(name) + PyBytes_Size(value)) + 2;
  if (needed > size) {
    const size_t wanted = needed < kLeastEnvironment ? kLeastEnvironment : needed;
    auto* const larger = static_cast<char*>(std::malloc(wanted));
    if (!larger) return PyErr_NoMemory();
    std::free(std::exchange(memory, larger));
    size = wanted;
  }
  auto** place = reinterpret_cast<char**>(memory);
  char* end = memory + places;
  const auto append = [&](PyObject* bytes, char behind) {
    const auto length = static_cast<size_t>(PyBytes_Size(bytes));
    std::memcpy(end, PyBytes_AsString(bytes), length);
    end += length;
    *end++ = behind;
  };
  at = 0;
  while (PyDict_Next(environment, &at, &name, &value)) {
    *place++ = end;
    append(name, '=');
    append(value, '\0');
  }
  *place = nullptr;
  environ = reinterpret_cast<char**>(memory);
  Py_RETURN_NONE;
}

bool remember(PyObject* name, PyObject* value) { return PyDict_SetItem(names, name, value ? value : Py_None) == 0; }

// An exception of the function's becomes the error document that `tell` makes of it. Others, such as SystemExit, go on.
Object document_of(PyObject* tell) {
  PyObject *type, *error, *traceback;
  PyErr_Fetch(&type, &error, &traceback);
  PyErr_NormalizeException(&type, &error, &traceback);
  if (!PyErr_GivenExceptionMatches(error, PyExc_Exception)) {
    PyErr_Restore(type, error, traceback);
    return nullptr;
  }
  if (traceback) PyException_SetTraceback(error, traceback);
  Object document(PyObject_CallFunctionObjArgs(tell, error, nullptr));
  Py_XDECREF(type);
  Py_XDECREF(error);
  Py_XDECREF(traceback);
  return document;
}

bool flush_stream(const char* stream) {
  PyObject* const file = PySys_GetObject(stream);
  if (!file || file == Py_None) return true;
  return static_cast<bool>(Object(PyObject_CallMethodObjArgs(file, flush, nullptr)));
}

// What json.JSONEncoder.encode() does: `parts` makes the text's parts of a value.
Object encode(PyObject* parts, PyObject* value) {
  const Object made(PyObject_CallFunctionObjArgs(parts, value, zero, nullptr));
  if (!made) return nullptr;
  const Object text(PyUnicode_Join(nothing, made.get()));
  return Object(text ? PyUnicode_AsUTF8String(text.get()) : nullptr);
}

// One call: its answer into `body`, as bytes. False: an exception that ends the process.
bool call(PyObject* handler, PyObject* parts, const char* frame, size_t size, unsigned char& kind, Object& body) {
  if (size < 4 || size - 4 < number_at(frame)) {
    PyErr_SetString(PyExc_ValueError, "an invocation without its header");
    return false;
  }
  const size_t header_size = number_at(frame);
  const Object header = parse(frame + 4, header_size);
  if (!header) return false;
  if (!remember(request_id, PyDict_GetItem(header.get(), id)) ||
      !remember(tenant_id, PyDict_GetItem(header.get(), tenant)) || !set_trace(PyDict_GetItem(header.get(), trace)))
    return false;
  kind = kError;
  PyObject* tell = failed;
  Object event = parse(frame + 4 + header_size, size - 4 - header_size);
  if (!event) {
    tell = PyErr_ExceptionMatches(PyExc_ValueError) ? unreadable : failed;
  } else if (const Object context{PyObject_CallFunctionObjArgs(context_of, header.get(), nullptr)}) {
    const Object result(PyObject_CallFunctionObjArgs(handler, event.get(), context.get(), nullptr));
    event.reset();
    if (result) {
      tell = unanswerable;
      body = encode(parts, result.get());
      if (body) kind = kResponse;
    }
  }
  if (!body) body = document_of(tell);
  return body && flush_stream("stdout") && flush_stream("stderr");
}

// serve(handler, parts): calls, until a frame comes that is none: its kind and body.
PyObject* serve(PyObject* self, PyObject* arguments) {
  auto& channel = *reinterpret_cast<Channel*>(self);
  PyObject *handler, *parts;
  if (!PyArg_UnpackTuple(arguments, "serve", 2, 2, &handler, &parts)) return nullptr;
  while (true) {
    Object kept = next_kept(channel);
    size_t length = 0;
    Frame frame{};
    if (kept) {
      if (kind_of(kept.get()) != kInvoke) return kept.release();
      char* bytes;
      Py_ssize_t size;
      if (PyBytes_AsStringAndSize(PyTuple_GetItem(kept.get(), 1), &bytes, &size) != 0) return nullptr;
      frame = {kInvoke, bytes, static_cast<size_t>(size)};
    } else {
      if (!(length = await_bytes(channel))) return nullptr;
      frame = frame_of(channel, length);
      if (frame.kind != kInvoke) {
        Object pair = pair_of(frame);
        channel.drop(length);
        return pair.release();
      }
    }
    unsigned char answer;
    Object body;
    const bool answered = call(handler, parts, frame.body, frame.size, answer, body);
    if (length) channel.drop(length);
    if (!answered ||
        !send_frame(channel, answer, PyBytes_AsString(body.get()), static_cast<size_t>(PyBytes_Size(body.get()))))
      return nullptr;
  }
}

// receive(): kind and body of the next frame.
PyObject* receive(PyObject* self, PyObject*) {
  auto& channel = *reinterpret_cast<Channel*>(self);
  if (Object kept = next_kept(channel)) return kept.release();
  return read_pair(channel).release();
}

// peek(): the kind of the next frame, which stays.
PyObject* peek(PyObject* self, PyObject*) {
  auto& channel = *reinterpret_cast<Channel*>(self);
  if (PyList_Size(channel.kept) > 0) return PyLong_FromLong(kind_of(PyList_GetItem(channel.kept, 0)));
  const size_t length = await_bytes(channel);
  return length ? PyLong_FromLong(frame_of(channel, length).kind) : nullptr;
}

// await_frame(kind): the body of the next frame of this kind. What comes before it is received later.
PyObject* await_frame(PyObject* self, PyObject* kind) {
  auto& channel = *reinterpret_cast<Channel*>(self);
  const long wanted = PyLong_AsLong(kind);
  if (PyErr_Occurred()) return nullptr;
  for (Py_ssize_t i = 0;; ++i) {
    if (i == PyList_Size(channel.kept)) {
      const Object pair = read_pair(channel);
      if (!pair || PyList_Append(channel.kept, pair.get()) != 0) return nullptr;
    }
    const Object pair = share(PyList_GetItem(channel.kept, i));
    if (kind_of(pair.get()) != wanted) continue;
    if (PyList_SetSlice(channel.kept, i, i + 1, nullptr) != 0) return nullptr;
    return share(PyTuple_GetItem(pair.get(), 1)).release();
  }
}

// lacks(kind): whether no frame of this kind is here yet.
PyObject* lacks(PyObject* self, PyObject* kind) {
  auto& channel = *reinterpret_cast<Channel*>(self);
  const long wanted = PyLong_AsLong(kind);
  if (PyErr_Occurred()) return nullptr;
  pollfd ready{channel.fd, POLLIN, 0};
  while (channel.here() > 0 || ::poll(&ready, 1, 0) > 0) {
    const Object pair = read_pair(channel);
    if (!pair || PyList_Append(channel.kept, pair.get()) != 0) return nullptr;
  }
  for (Py_ssize_t i = 0; i < PyList_Size(channel.kept); ++i) {
    if (kind_of(PyList_GetItem(channel.kept, i)) == wanted) Py_RETURN_FALSE;
  }
  Py_RETURN_TRUE;
}

// has_begun(): whether bytes are here that nobody has received.
PyObject* has_begun(PyObject* self, PyObject*) { return PyBool_FromLong(reinterpret_cast<Channel*>(self)->here() > 0); }

// keep(kind): a frame without a body, as if it had come.
PyObject* keep(PyObject* self, PyObject* kind) {
  const Object pair(Py_BuildValue("(Oy)", kind, ""));
  if (!pair || PyList_Append(reinterpret_cast<Channel*>(self)->kept, pair.get()) != 0) return nullptr;
  Py_RETURN_NONE;
}

// send(kind, body=b"")
PyObject* send(PyObject* self, PyObject* arguments) {
  unsigned char kind;
  const char* body = "";
  Py_ssize_t size = 0;
  if (!PyArg_ParseTuple(arguments, "b|y#", &kind, &body, &size)) return nullptr;
  if (!send_frame(*reinterpret_cast<Channel*>(self), kind, body, static_cast<size_t>(size))) return nullptr;
  Py_RETURN_NONE;
}

PyObject* fileno(PyObject* self, PyObject*) { return PyLong_FromLong(reinterpret_cast<Channel*>(self)->fd); }

PyObject* close(PyObject* self, PyObject*) {
  ::close(std::exchange(reinterpret_cast<Channel*>(self)->fd, -1));
  Py_RETURN_NONE;
}

// Channel(descriptor, ended=None)
int initialise(PyObject* self, PyObject* arguments, PyObject*) {
  auto& channel = *reinterpret_cast<Channel*>(self);
  PyObject* ended = Py_None;
  if (!PyArg_ParseTuple(arguments, "i|O", &channel.fd, &ended)) return -1;
  ::fcntl(channel.fd, F_SETFD, FD_CLOEXEC);
  channel.ended = ended == Py_None ? nullptr : share(ended).release();
  channel.kept = PyList_New(0);
  return channel.kept && channel.make_room() ? 0 : -1;
}

void forget(PyObject* self) {
  auto& channel = *reinterpret_cast<Channel*>(self);
  std::free(channel.memory);
  Py_XDECREF(channel.kept);
  Py_XDECREF(channel.ended);
  PyTypeObject* const type = Py_TYPE(self);
  reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free))(self);
  Py_DECREF(type);
}

PyMethodDef methods[] = {{"serve", serve, METH_VARARGS, nullptr},
                         {"receive", receive, METH_NOARGS, nullptr},
                         {"peek", peek, METH_NOARGS, nullptr},
                         {"await_frame", await_frame, METH_O, nullptr},
                         {"lacks", lacks, METH_O, nullptr},
                         {"has_begun", has_begun, METH_NOARGS, nullptr},
                         {"keep", keep, METH_O, nullptr},
                         {"send", send, METH_VARARGS, nullptr},
                         {"fileno", fileno, METH_NOARGS, nullptr},
                         {"close", close, METH_NOARGS, nullptr},
                         {nullptr, nullptr, 0, nullptr}};
PyType_Slot slots[] = {{Py_tp_init, reinterpret_cast<void*>(initialise)},
                       {Py_tp_dealloc, reinterpret_cast<void*>(forget)},
                       {Py_tp_methods, methods},
                       {0, nullptr}};
PyType_Spec channel_type = {"calls.Channel", sizeof(Channel), 0, Py_TPFLAGS_DEFAULT, slots};

// set_up(variables, environment): of the bootstrap, and what os.environ knows.
PyObject* set_up(PyObject*, PyObject* arguments) {
  if (!PyArg_UnpackTuple(arguments, "set_up", 2, 2, &names, &environment)) return nullptr;
  Py_IncRef(names);
  Py_IncRef(environment);
  const struct {
    const char* name;
    PyObject** place;
  } wanted[] = {{"scan", &scan},     {"decode", &decode},         {"LambdaContext", &context_of},
                {"failed", &failed}, {"unreadable", &unreadable}, {"unanswerable", &unanswerable}};
  for (const auto& [name, place] : wanted) {
    *place = PyDict_GetItemString(names, name);
    if (!*place) return PyErr_Format(PyExc_NameError, "the bootstrap has no %s", name);
    Py_IncRef(*place);
  }
  const struct {
    const char* text;
    PyObject** place;
  } words[] = {{"", &nothing},
               {"id", &id},
               {"tenant", &tenant},
               {"trace", &trace},
               {"request_id", &request_id},
               {"tenant_id", &tenant_id},
               {"flush", &flush}};
  for (const auto& [text, place] : words) {
    *place = PyUnicode_InternFromString(text);
    if (!*place) return nullptr;
  }
  zero = PyLong_FromLong(0);
  std::memcpy(trace_variable, kTraceName, sizeof kTraceName);
  trace_variable[sizeof kTraceName - 1] = '=';
  trace_key = PyBytes_FromString(kTraceName);
  if (!zero || !trace_key) return nullptr;
  Py_RETURN_NONE;
}

PyMethodDef functions[] = {{"set_up", set_up, METH_VARARGS, nullptr},
                           {"parse", parse_bytes, METH_O, nullptr},
                           {"set_environment", set_environment, METH_O, nullptr},
                           {"publish_environment", publish_environment, METH_NOARGS, nullptr},
                           {nullptr, nullptr, 0, nullptr}};
PyModuleDef module = {PyModuleDef_HEAD_INIT, "calls", nullptr, -1, functions, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_calls() {
  Object made(PyModule_Create(&module));
  PyObject* const type = made ? PyType_FromSpec(&channel_type) : nullptr;
  if (!type || PyModule_AddObject(made.get(), "Channel", type) != 0) return nullptr;
  return made.release();
}
