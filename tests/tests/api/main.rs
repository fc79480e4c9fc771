//! What a real API server takes and what it refuses, with etcd and nothing else beside it.

mod a_paused_relay_is_left_as_it_is;
mod claims_grow;
mod examples_are_accepted;
mod limits_are_divided_anew;
mod manifests_are_refused_with_what_to_write_instead;
mod namespaces_ask_for_access;
mod older_definitions_take_a_status;
mod one_operator_leads;
mod operator_page;
mod pods_are_injected_alike;
mod pods_are_told_what_they_lack;
mod pods_of_clients_are_handed_over;
mod what_is_dangerous_is_warned_of;
mod what_is_said_of_pods_is_done;
mod what_others_made_is_left_alone;
mod what_repeats_is_one_event;

use mailsluice_tests::definitions;
