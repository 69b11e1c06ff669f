#include "sandbox/runtimes.h"

#include <gtest/gtest.h>

#include "sandbox/testing.h"

namespace virga::sandbox {
namespace {

// An installation whose program says that it is `version`.
void install(const testing::Folder& folder, const std::string& runtime, const std::string& program,
             const std::string& version) {
  folder.write(runtime + "/bin/" + program, "#!/bin/sh\necho " + version + "\n", 0755);
}

TEST(Toolchains, PrefersTheInstallationOfTheVeryRuntime) {
  testing::Folder folder;
  install(folder, "nodejs24.x", "node", "v24.1.0");
  install(folder, "nodejs20.x", "node", "v20.9.1");
  Toolchains toolchains(folder.path(), "");
  const auto twenty = toolchains.find("nodejs20.x"), twenty_four = toolchains.find("nodejs24.x");
  EXPECT_EQ(twenty->version, "20.9.1");
  EXPECT_EQ(twenty_four->version, "24.1.0");
  EXPECT_NE(twenty->name, twenty_four->name);
  EXPECT_EQ(twenty_four->inside, "/var/lang/bin/node");
  EXPECT_EQ(twenty_four->prefix, folder.path() + "/nodejs24.x");
  EXPECT_TRUE(is_exact("nodejs24.x", *twenty_four));
  EXPECT_EQ(toolchains.first_warning("nodejs24.x", *twenty_four), std::nullopt);
}

TEST(Toolchains, SaysOnceThatAVersionIsAnother) {
  testing::Folder folder;
  install(folder, "python3.14", "python3", "Python 3.12.9");
  Toolchains toolchains(folder.path(), "");
  const auto found = toolchains.find("python3.14");
  EXPECT_FALSE(is_exact("python3.14", *found));
  EXPECT_NE(toolchains.first_warning("python3.14", *found).value_or("").find("run on version 3.12.9"),
            std::string::npos);
  EXPECT_EQ(toolchains.first_warning("python3.14", *found), std::nullopt);
}

TEST(Toolchains, FindsWhatIsAddedLater) {
  testing::Folder folder;
  Toolchains toolchains(folder.path(), "");
  install(folder, "ruby3.4", "ruby", "ruby 3.4.1");
  EXPECT_EQ(toolchains.find("ruby3.4")->version, "3.4.1");
}

TEST(Toolchains, NamesWhatIsNotServed) {
  Toolchains toolchains("", "");
  EXPECT_THROW(toolchains.find("dotnet8"), std::runtime_error);
  EXPECT_TRUE(toolchains.find("provided.al2023")->program.empty());
}

}  // namespace
}  // namespace virga::sandbox
