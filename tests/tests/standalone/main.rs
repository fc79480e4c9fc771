//! Scenarios on this machine alone: the real relay, real clients, real hosts. One file for each promise.

mod access;
mod bounce_by_dsn;
mod client_limits;
mod clients;
mod clients_behind_others;
mod damaged_records_are_set_aside;
mod extensions;
mod failed_sync_is_final;
mod failures_have_the_right_scope;
mod first_message_within_100ms_of_opening;
mod full_disk_refuses_then_resumes;
mod held_by_schedule_and_explained;
mod kill_nine_loses_nothing;
mod limits;
mod log_levels_live;
mod monitor_needs_credential_off_loopback;
mod mx_delivery;
mod read_only_disk_refuses_then_resumes;
mod refusals;
mod refusals_table;
mod reload;
mod retries_with_backoff;
mod sigterm_is_quick;
mod smuggling;
mod spool_is_read_off_line;
mod tls_on_the_way_in;
