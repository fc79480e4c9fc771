//! The clock on the wall is set while mail waits: what was reckoned by the old one is reckoned anew.

use jiff::SignedDuration;
use mailsluice_crds::LogLevel;

use super::Courier;
use crate::log::Tag;

/// What records say of what goes on because of it.
const WHY: &str = "the clock was set back";

impl Courier {
    /// Does what is to be done where the clock was set since the last look.
    pub(super) fn look_whether_the_clock_was_set(&self) {
        let Some(step) = self.watch.take_step() else { return };
        let seconds = step.as_secs().unsigned_abs();
        let record = self.log.at(LogLevel::Failures, Tag::Queue).number("seconds", seconds);
        if step > SignedDuration::ZERO {
            record.say(format_args!(
                "the clock was set forward by {seconds} s: for an hour no mail is returned for its age by it, should it be set back"
            ));
            return;
        }
        record.say(format_args!("{WHY} by {seconds} s: what waits till a moment of the old one is tried now"));
        self.gate.clock_was_set_back(WHY);
        self.queue.let_go(|queue| ((), queue.clock_was_set_back(WHY)));
    }
}
