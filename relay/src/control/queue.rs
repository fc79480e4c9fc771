//! The queues, and the messages of a host: page by page, each message read from the spool when its row is made.

use mailsluice_crds::monitor::HostRow;
use mailsluice_ctl::{
    HostName, MessageId as ShownId,
    words::queue::{Hosts, MessageError, MessageRow, Messages, QueueAsked, QueueSaid, RECIPIENTS},
};

use super::Control;
use crate::{
    clock,
    queue::WaitingMessage,
    spool::{Envelope, MessageId, Pending},
};

impl Control {
    /// What was asked for.
    pub(super) async fn queue(&self, asked: &QueueAsked) -> QueueSaid {
        match &asked.host {
            Some(host) => QueueSaid::Messages(self.messages(host, asked).await),
            None => QueueSaid::Hosts(self.hosts(asked)),
        }
    }

    fn hosts(&self, asked: &QueueAsked) -> Hosts {
        let now = clock::now();
        let (rows, left_out) = self.courier.queue.read(|queue| queue.rows(asked.rows()));
        let hosts: Vec<HostRow> = rows.into_iter().map(|row| self.monitor.row(row, now)).collect();
        Hosts { now, hosts, hosts_not_shown: left_out as u64 }
    }

    async fn messages(&self, host: &HostName, asked: &QueueAsked) -> Messages {
        let now = clock::now();
        let after = asked.after.map(|after| MessageId::from_u64(after.get()));
        let (row, page, more) = self.courier.queue.read(|queue| {
            let (page, more) = queue.page(host.as_str(), after, asked.rows());
            (queue.row(host.as_str()), page, more)
        });
        let row = row.map(|row| Box::new(self.monitor.row(row, now)));
        let last = page.last().map(|message| ShownId::from_u64(message.id.get()));
        let mut messages = Vec::with_capacity(page.len());
        for message in page {
            // What has gone since the page was made is left out.
            if let Some(row) = self.message(&message).await {
                messages.push(row);
            }
        }
        Messages { now, host: host.clone(), row, messages, more_after: last.filter(|_| more) }
    }

    async fn message(&self, waiting: &WaitingMessage) -> Option<MessageRow> {
        let spool = &self.courier.spool;
        let (envelope, pending) = match spool.look(waiting.location).await {
            Ok(found) => found,
            // What a start has just found is not in the writer's books yet.
            Err(_) => (spool.envelope(waiting.location).await.ok()?, Vec::new()),
        };
        let hold = self.courier.queue.read(|queue| queue.holds().of_message(waiting.id).cloned());
        Some(MessageRow { hold, ..row(waiting, &envelope, &pending) })
    }
}

fn row(waiting: &WaitingMessage, envelope: &Envelope, pending: &[Pending]) -> MessageRow {
    let addrs = waiting.recipients.iter().filter_map(|index| envelope.recipients.get(usize::from(*index)));
    let errors = pending.iter().filter(|pending| waiting.recipients.contains(&pending.recipient));
    let last = errors.filter_map(|pending| pending.error.as_ref()).max_by_key(|error| error.at);
    MessageRow {
        id: ShownId::from_u64(waiting.id.get()),
        in_queue: envelope.received_at,
        return_path: envelope.sender.clone(),
        addrs: addrs.take(RECIPIENTS).cloned().collect(),
        addrs_count: u32::try_from(waiting.recipients.len()).unwrap_or(u32::MAX),
        size: envelope.size,
        state: waiting.state,
        delayed_till: waiting.due,
        attempts: waiting.attempts,
        last_error: last.map(|error| MessageError { code: error.code.clone(), text: error.text.clone(), at: error.at }),
        hold: None,
    }
}
