//! What hinders the mail most, in one line: the PROBLEM column.

use mailsluice_crds::{monitor::StrandedMail, schedule::LinkState};

use super::{Facts, delivering, paused};
use crate::{monitor::Picture, schedule::ScheduleUse};

/// `None` when nothing does.
pub(super) fn find(facts: &Facts<'_>) -> Option<String> {
    if let Some(obstacle) = facts.obstacles.first() {
        return Some(obstacle.to_string());
    }
    if let ScheduleUse::Missing(_) = facts.schedule {
        return facts.schedule_trouble().map(|(_, message)| message);
    }
    let of_relay = match facts.picture {
        Picture::Pending => facts.before.problem.clone(),
        Picture::Nothing => None,
        Picture::Known(merged) => {
            let of_all = merged.problems.first().map(|problem| problem.message.clone());
            // A link that is down hinders no mail while there is none.
            let link = || {
                (merged.link.state == LinkState::Closed && merged.queue.messages > 0)
                    .then(|| delivering::link_is_down(facts, merged))
            };
            let host = || merged.rows.iter().find(|row| delivering::is_hindered(row)).map(delivering::about);
            of_all.or_else(link).or_else(host)
        }
    };
    let schedule = || facts.schedule_trouble().map(|(_, message)| message);
    let unreadable =
        || facts.unreadable.first().map(|first| format!("the Monitor of {} cannot be read: {}", first.pod, first.why));
    let paused = || facts.paused.then(paused::sentence);
    of_relay.or_else(schedule).or_else(unreadable).or_else(|| stranded(facts.stranded)).or_else(paused)
}

/// Mail that waits for a pod that is scaled away.
fn stranded(mail: &[StrandedMail]) -> Option<String> {
    let first = mail.first()?;
    let messages: u64 = mail.iter().map(|mail| mail.messages).sum();
    let others = mail.len() - 1;
    let others = if others == 0 { String::new() } else { format!(" and {others} more") };
    Some(format!(
        "{messages} messages are stranded on {}{others}: they wait for a scale-up that brings the pod back",
        first.claim
    ))
}
