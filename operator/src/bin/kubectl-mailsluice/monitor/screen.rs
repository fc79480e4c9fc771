//! The terminal: draws the lines, reads the keys.

use std::{
    io::{self, IsTerminal as _},
    thread,
    time::Duration,
};

use jiff::Timestamp;
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
    style::{Color, Modifier, Style},
    text::{Line as TerminalLine, Span, Text},
};
use tokio::{
    sync::{mpsc, watch},
    time::{self, MissedTickBehavior},
};

use super::{
    Picture, host,
    look::{Line, Look},
    printed, source, table,
    view::{Key, Next, View},
};
use crate::{access::Cluster, error::PluginError, relay::Found};

/// Time that counts down is drawn anew so often.
const TICK: Duration = Duration::from_secs(1);

/// Lines that are not the table's rows: what a page down leaves out.
const AROUND_ROWS: u16 = 8;

/// What the keys do.
const HELP: &str = "\
kubectl mailsluice monitor

  ↑ ↓  k j         choose a host; in an open one, scroll
  PgUp  PgDn       a page of them
  Enter            open the host: why its mail waits, its last error, its connections, its messages
  Esc  ←           back to the table
  s                sort: worst first, host, messages, Suspended Till, oldest message
  ?                this help, and back
  q                back, and from the table out
  Ctrl-C           out

  ◷ waits till a moment     ■ is held     ▸ is being sent     · is ready";

/// Shows the relay's Monitor until the user leaves; where standard output is no terminal, prints it once.
pub(crate) async fn watch(cluster: &Cluster, found: Found) -> Result<(), PluginError> {
    if !io::stdout().is_terminal() {
        let picture = source::once(cluster, &found).await?;
        return crate::write(&printed(&picture, Timestamp::now()));
    }
    // The first answer comes before the screen changes: an error stays readable.
    let first = source::once(cluster, &found).await?;
    let (opened, open) = watch::channel(None);
    let (pictures, shown) = watch::channel(first);
    let asking = tokio::spawn(source::each_second(cluster.clone(), found, open, pictures));
    let mut terminal = ratatui::try_init().map_err(PluginError::io("the terminal"))?;
    let result = interact(&mut terminal, shown, &opened).await;
    let _ = ratatui::try_restore();
    asking.abort();
    result.map_err(PluginError::io("the terminal"))
}

async fn interact(
    terminal: &mut DefaultTerminal,
    mut pictures: watch::Receiver<Picture>,
    opened: &watch::Sender<Option<String>>,
) -> io::Result<()> {
    let mut keys = keys();
    let mut tick = time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut view = View::default();
    loop {
        let picture = pictures.borrow_and_update().clone();
        terminal.draw(|frame| {
            let area = frame.area();
            let size = (area.width.into(), area.height.into());
            frame.render_widget(text(lines(&picture, &mut view, Timestamp::now(), size)), area);
        })?;
        tokio::select! {
            key = keys.recv() => match key {
                // Nobody is at the keyboard any more.
                None => return Ok(()),
                Some(None) => {}
                Some(Some(key)) => {
                    let rows = picture.rows(view.sort);
                    let page = usize::from(terminal.size()?.height.saturating_sub(AROUND_ROWS));
                    if view.press(key, &rows, page) == Next::Leave {
                        return Ok(());
                    }
                    opened.send_if_modified(|open| {
                        let changed = *open != view.open;
                        open.clone_from(&view.open);
                        changed
                    });
                }
            },
            // Where the pods are not asked any more, what they said last stays.
            Ok(()) = pictures.changed() => {}
            _ = tick.tick() => {}
        }
    }
}

/// The screen, in just so many lines.
pub(super) fn lines(picture: &Picture, view: &mut View, now: Timestamp, size: (usize, usize)) -> Vec<Line> {
    if view.help {
        return HELP.lines().map(|line| Line::of(Look::Plain, line)).collect();
    }
    match view.open.clone() {
        Some(open) => host::screen(picture, view, &open, now, size),
        None => table::screen(picture, view, now, size),
    }
}

/// Keys as they are pressed, and `None` for what only asks for the screen to be drawn anew. A thread of its own waits for
/// them, which ends with the process.
fn keys() -> mpsc::Receiver<Option<Key>> {
    let (pressed, keys) = mpsc::channel(16);
    thread::spawn(move || {
        while let Ok(event) = event::read() {
            let key = match event {
                Event::Key(key) if key.kind != KeyEventKind::Release => meaning(key),
                Event::Resize(..) => None,
                _ => continue,
            };
            if pressed.blocking_send(key).is_err() {
                return;
            }
        }
    });
    keys
}

fn meaning(key: KeyEvent) -> Option<Key> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    Some(match key.code {
        KeyCode::Char('c') if control => Key::Leave,
        KeyCode::Char('q') => Key::Quit,
        KeyCode::Char('?') => Key::Help,
        KeyCode::Char('s') => Key::Sort,
        KeyCode::Char('k') | KeyCode::Up => Key::Up,
        KeyCode::Char('j') | KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Enter | KeyCode::Right => Key::Open,
        KeyCode::Esc | KeyCode::Left | KeyCode::Backspace => Key::Back,
        _ => return None,
    })
}

fn text(lines: Vec<Line>) -> Text<'static> {
    let spans = |Line(parts)| parts.into_iter().map(|(look, text)| Span::styled(text, style(look)));
    Text::from_iter(lines.into_iter().map(|line| TerminalLine::from_iter(spans(line))))
}

/// Colours of the terminal's own palette, so that they fit whatever is behind them.
fn style(look: Look) -> Style {
    match look {
        Look::Plain => Style::new(),
        Look::Heading => Style::new().add_modifier(Modifier::BOLD),
        Look::Dim => Style::new().add_modifier(Modifier::DIM),
        Look::Alert => Style::new().fg(Color::Red),
        Look::Well => Style::new().fg(Color::Green),
        Look::Chosen => Style::new().add_modifier(Modifier::REVERSED),
    }
}
