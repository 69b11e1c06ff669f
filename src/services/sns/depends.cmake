# What calls and events pass through.
set(hot deliver envelope fan_out filter ops_publish store)
