# Nearly all of it is on the way of data, all but what is named.
set(hot ALL ion jobs ops_backup ops_export ops_import ops_insights ops_settings ops_table ops_transfer policy_document restore)
