set(extra service_sqs)  # ends the waits of mappings for messages
# What calls and events pass through.
set(hot admission catalog fleet invoker lineage log_writer measures model ops_async ops_invoke ops_permission ops_stream provisions report role_sessions store url_serve warm batch filter queue_poller stream_poller)
