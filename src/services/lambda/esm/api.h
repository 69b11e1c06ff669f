// Reading event sources for a service other than Lambda (Pipes): an Engine over the mappings that name the service as
// their owner, and Functions that says what becomes of a batch. Checkpoints, leases, filters, batches, partial
// failures, back-off and what is given up work as they do for event source mappings.
#pragma once

#include "services/lambda/esm/batch.h"
#include "services/lambda/esm/engine.h"
#include "services/lambda/esm/failure.h"
#include "services/lambda/esm/mapping.h"
#include "services/lambda/esm/queue.h"
