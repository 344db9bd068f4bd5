//! What the keeper remembers of a client, and the delay that results.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::class::Class;
use crate::connection::decided::exemptions::{DelayBy, delay};
use crate::ctl::failure::Failure;
use crate::ctl::known::{age, facts, unanswered};
use crate::known::asking::message::{Answer, Request};
use crate::known::asking::{Asker, NoAnswer};
use crate::known::directory::USUAL;
use crate::known::key::Key;
use crate::known::record::Record;
use crate::known::rules::KnownDelays;
use crate::options::Options;

/// How long the keeper may take for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The keeper, and what clients wait.
pub(super) struct Keeper<'a> {
    asker: Asker,
    options: &'a Options,
}

impl<'a> Keeper<'a> {
    /// The one that the options name; without them that of the service, if one answers.
    ///
    /// # Errors
    /// A keeper that is named and does not answer.
    pub(super) fn of(options: &'a Options) -> Result<Option<Self>, Failure> {
        let directory = options.known.as_deref().unwrap_or(Path::new(USUAL));
        let asker = Asker::of_directory(directory).map_err(NoAnswer::from);
        let answers = asker.and_then(|asker| {
            asker.exchange(Request::Status, PATIENCE).map(|_| Self { asker, options })
        });
        match (answers, &options.known) {
            (Ok(keeper), _) => Ok(Some(keeper)),
            (Err(why), Some(directory)) => Err(unanswered(directory, why)),
            (Err(_), None) => Ok(None),
        }
    }

    /// What it remembers of the client at `ip`, which is of `class` now; `None` if it does
    /// not answer any more.
    pub(super) fn remembered(&self, ip: IpAddr, class: Class) -> Option<Remembered> {
        let record = match self.asker.exchange(Request::Ask(Key::of(ip)), PATIENCE).ok()? {
            Answer::Known(record) => Some(record),
            _ => None,
        };
        let Options { delays, delay_known, .. } = self.options;
        let usual = delay(class, DelayBy::Class, delays);
        let known = KnownDelays { known: *delay_known, of_static: delays.of_static };
        let delay = record.map_or(usual, |record| known.wait(usual, class, record.class));
        Some(Remembered { record, delay })
    }
}

/// What is remembered of a client, and how long it would wait.
pub(super) struct Remembered {
    record: Option<Record>,
    delay: Duration,
}

impl Remembered {
    /// Two lines.
    pub(super) fn text(&self) -> String {
        let known = self.record.as_ref().map_or("-".into(), facts);
        format!("known: {known}\ndelay: {}\n", self.delay.as_secs_f64())
    }

    /// The members `known` and `delay`.
    pub(super) fn add_to(&self, object: &mut Value) {
        object["known"] = self.record.as_ref().map_or(Value::Null, |record| {
            json!({
                "class": record.class.to_string(),
                "count": record.count,
                "first": age(record.first),
                "last": age(record.last),
            })
        });
        object["delay"] = json!(self.delay.as_secs_f64());
    }
}
