# Nothing here waits for the processor: small before fast.
set(optimize_service $<$<CONFIG:Release>:-Os>)
