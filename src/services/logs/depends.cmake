# What calls and events pass through.
set(hot deliver filter ops_event store)
