//! What is held, changed by one at a time: on disk first, and then in force.

use std::{io, sync::Arc};

use tokio::{sync::Mutex, task};

use super::Store;
use crate::queue::{Holds, SharedQueue};

/// The holds of a relay that runs.
pub struct Holding {
    queue: Arc<SharedQueue>,
    store: Store,
    turn: Mutex<()>,
}

impl Holding {
    /// Those of this queue, kept there.
    #[must_use]
    pub fn new(queue: Arc<SharedQueue>, store: Store) -> Arc<Holding> {
        Arc::new(Holding { queue, store, turn: Mutex::default() })
    }

    /// Changes what is held; whether that made a difference.
    ///
    /// # Errors
    /// It cannot be written. What was held before still is.
    pub async fn change(&self, change: impl FnOnce(&mut Holds) + Send) -> io::Result<bool> {
        let _turn = self.turn.lock().await;
        let before = self.queue.read(|queue| queue.holds().clone());
        let mut holds = before.clone();
        change(&mut holds);
        if holds == before {
            return Ok(false);
        }
        let (store, saved) = (self.store.clone(), holds.clone());
        let saving = task::spawn_blocking(move || store.save(&saved)).await;
        saving.unwrap_or_else(|error| Err(io::Error::other(error)))?;
        self.queue.let_go(|queue| ((), queue.set_holds(holds)));
        Ok(true)
    }
}
