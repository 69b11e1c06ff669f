// The verbs of the command line. Each returns the process's exit status and throws UsageError or CommandError.
#pragma once

#include <string>

#include "app/command.h"

namespace virga::app {

std::string default_data();
// The AWS SDK for JavaScript where an installation or a clone's build has it, as AWS's own runtimes carry it; else
// empty.
std::string default_node_modules();

// Where `virga runtimes add` puts runtimes: one folder for all data folders of this user.
std::string default_runtimes();

int run_up(const Arguments& arguments);
int run_down(const Arguments& arguments);
int run_status(const Arguments& arguments);
int run_deploy(const Arguments& arguments);
int run_delete(const Arguments& arguments);
int run_invoke(const Arguments& arguments);
int run_logs(const Arguments& arguments);
int run_outbox(const Arguments& arguments);
int run_services(const Arguments& arguments);
int run_runtimes(const Arguments& arguments);
int run_doctor(const Arguments& arguments);
int run_env(const Arguments& arguments);
int run_version(const Arguments& arguments);
int run_completion(const Arguments& arguments);

}  // namespace virga::app
