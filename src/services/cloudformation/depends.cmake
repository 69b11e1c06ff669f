# The template reader stands on libyaml; AllowedPattern is a regular expression.
set(extra yaml pcre2)
# Nothing here waits for the processor, and it is the largest service: small before fast.
set(optimize_service $<$<CONFIG:Release>:-Os>)
