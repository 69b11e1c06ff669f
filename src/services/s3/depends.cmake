# What calls and events pass through.
set(hot checksum content ops_object ops_multipart store)
