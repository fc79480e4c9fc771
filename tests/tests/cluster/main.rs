//! Scenarios on the Kubernetes cluster of tests/cluster, which must be up. One file for each promise.
//!
//! They share the cluster and its one operator, and one of them stops the API server: so they run one after another.

mod a_pod_and_its_sidecar;
mod applications;
mod applications_send_by_injected_sidecars;
mod both_families;
mod chaos_loses_nothing;
mod claims_grow_while_mail_flows;
mod clocks_of_nodes_are_wrong;
mod dangling_schedule_is_named;
mod gateway;
mod held_explained_and_let_out;
mod idle_operator_writes_nothing;
mod kill_nine_in_a_pod;
mod network_is_closed_as_asked;
mod nothing_shows_behind_sidecars;
mod obeys_a_window_without_the_api_server;
mod people_act_by_kubectl;
mod pods_send_with_their_own_tokens;
mod restricted_pod_security;
mod scaled_away_mail_arrives;
mod support;
mod support_archive_has_no_secret;
mod tokens_that_are_refused;
mod uninstall_leaves_nothing_stuck;
mod upgrade_keeps_mail;
mod what_is_changed_by_hand_is_put_right;
