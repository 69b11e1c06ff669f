# What calls and events pass through.
set(hot invoke ops_event router store trail transform)
