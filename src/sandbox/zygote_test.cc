// Sandboxes of Python functions are forked from an interpreter that has started: they must not be told from others.
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/json.h"
#include "base/str.h"
#include "sandbox/testing.h"

namespace virga::sandbox {
namespace {

using namespace testing;

constexpr char kProgram[] = R"(
import gc, os, random, ssl, sys, uuid
def text(path):
    with open(path) as file:
        return file.read().replace('\0', ' ').strip()
def handler(event, context):
    status = dict(line.split(':\t') for line in text('/proc/self/status').splitlines())
    same = {name: status[name].strip() for name in
            ('Name', 'Pid', 'PPid', 'Uid', 'Gid', 'CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb', 'NoNewPrivs',
             'Seccomp', 'Seccomp_filters', 'SigBlk', 'SigIgn', 'SigCgt', 'Threads')}
    same['descriptors'] = sorted(f + ' ' + os.readlink('/proc/self/fd/' + f).split(':')[0]
                                 for f in os.listdir('/proc/self/fd') if os.path.lexists('/proc/self/fd/' + f))
    same |= {'exe': os.readlink('/proc/self/exe'), 'argv': sys.argv, 'path': sys.path, 'cwd': os.getcwd(),
             'seekable': sys.stdout.seekable(), 'environ': text('/proc/self/environ'), 'owner': os.stat('/proc/self').st_uid,
             'session': [os.getsid(0), os.getpgrp()], 'python': {n: v for n, v in os.environ.items() if 'ACCESS' not in n}}
    chance = [random.random(), str(uuid.uuid4()), ssl.RAND_bytes(8).hex()]
    return {'forked': gc.get_freeze_count() > 0, 'same': same, 'chance': chance}
)";

// What two forked instances answered, and one that was not when there was one: the first ones of a launcher.
std::vector<Json> answers(const std::string& code) {
  std::vector<Json> forked, executed;
  for (int i = 0; i < 50 && forked.size() < 2; ++i) {
    Log log;
    const Outcome out = invoke(python(code), log);
    EXPECT_EQ(out.status, Status::kOk) << out.payload << log.text();
    if (out.status != Status::kOk) return {};
    Json answer = Json::parse(out.payload);
    (answer.find("forked")->as_bool() ? forked : executed).push_back(std::move(answer));
    ::usleep(20'000);  // the first ones are made before there is anything to fork
  }
  if (forked.size() == 2) forked.push_back(executed.empty() ? Json() : std::move(executed[0]));
  return forked;
}

TEST(Zygote, MakesSandboxesThatLookLikeOthers) {
  Folder code;
  code.write("app.py", kProgram);
  const std::vector<Json> all = answers(code.path());
  ASSERT_EQ(all.size(), 3u) << "nothing was forked";
  EXPECT_EQ(all[0].find("same")->dump(), all[1].find("same")->dump());
  if (all[2].is_object()) EXPECT_EQ(all[0].find("same")->dump(), all[2].find("same")->dump());
}

TEST(Zygote, SharesNoChance) {
  Folder code;
  code.write("app.py", kProgram);
  const std::vector<Json> all = answers(code.path());
  ASSERT_EQ(all.size(), 3u) << "nothing was forked";
  for (size_t i = 0; i < 3; ++i)
    EXPECT_NE(all[0].find("chance")->as_array().at(i).dump(), all[1].find("chance")->as_array().at(i).dump()) << i;
}

}  // namespace
}  // namespace virga::sandbox
