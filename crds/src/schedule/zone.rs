//! Time zones by name, from the database that is compiled in.

use std::sync::LazyLock;

use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::spelling;

/// The bundled database and no other: an image without tzdata, and a node with an old one, answer alike.
static BUNDLED: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// A name that the time zone database does not have; its message says what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no time zone: {}", advice(.nearest.as_deref()))]
pub struct UnknownZone {
    /// The name.
    pub name: String,
    /// A name the database does have, where one is near.
    pub nearest: Option<String>,
}

fn advice(nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("did you mean {nearest:?}?"),
        None => "write an IANA name, such as \"Europe/Rome\", \"America/New_York\" or \"UTC\"".into(),
    }
}

/// The zone of that IANA name, spelled as the database spells it.
///
/// # Errors
/// Where the database has no such name, or spells it in other letters, so that one zone has one name everywhere.
pub(crate) fn zone(name: &str) -> Result<TimeZone, UnknownZone> {
    match BUNDLED.get(name) {
        Ok(zone) if zone.iana_name() == Some(name) => Ok(zone),
        Ok(zone) => Err(UnknownZone { name: name.to_owned(), nearest: zone.iana_name().map(str::to_owned) }),
        Err(_) => Err(UnknownZone { name: name.to_owned(), nearest: nearest(name) }),
    }
}

fn nearest(name: &str) -> Option<String> {
    let known: Vec<String> = BUNDLED.available().map(|known| known.as_str().to_owned()).collect();
    let city = |full: &str| full.rsplit('/').next().unwrap_or(full).to_ascii_lowercase();
    // "Rome" is nearer to "Europe/Rome" than any other letters are.
    let by_city = || known.iter().find(|known| known.contains('/') && city(known) == city(name));
    let nearest = by_city().map(String::as_str);
    nearest.or_else(|| spelling::nearest(name, known.iter().map(String::as_str))).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_come_from_the_compiled_in_database_by_their_exact_names() {
        for name in [
            "UTC",
            "Europe/Rome",
            "America/New_York",
            "Australia/Lord_Howe",
            "Asia/Kolkata",
            "Africa/Casablanca",
            "Pacific/Apia",
            "America/St_Johns",
        ] {
            assert_eq!(zone(name).unwrap().iana_name(), Some(name));
        }
    }

    #[test]
    fn an_unknown_zone_is_refused_with_what_to_write() {
        for (name, message) in [
            ("europe/rome", r#""europe/rome" is no time zone: did you mean "Europe/Rome"?"#),
            ("Europe/Roma", r#""Europe/Roma" is no time zone: did you mean "Europe/Rome"?"#),
            ("Rome", r#""Rome" is no time zone: did you mean "Europe/Rome"?"#),
            ("Asia/Calcuta", r#""Asia/Calcuta" is no time zone: did you mean "Asia/Calcutta"?"#),
            ("CEST", r#""CEST" is no time zone: did you mean "CET"?"#),
            (
                "+02:00",
                r#""+02:00" is no time zone: write an IANA name, such as "Europe/Rome", "America/New_York" or "UTC""#,
            ),
        ] {
            assert_eq!(zone(name).unwrap_err().to_string(), message);
        }
    }
}
