//! Counts all that a report shows, in memory that does not grow with the log.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::false_positives::FalsePositives;
use super::histogram::Histogram;
use super::network::{Network, domain};
use super::occupancy::Occupancy;
use super::top::Top;
use crate::class::Class;
use crate::report::reading::line::{Client, Event, Verdict};
use crate::report::reading::moment::Moment;

/// Clients by verdict, in the order of [`Verdict::ALL`].
pub type ByVerdict = [u64; Verdict::ALL.len()];
/// The classes of a report; the last stands for a class that is not known.
pub const CLASSES: [Option<Class>; 5] =
    [Some(Class::None), Some(Class::Dynamic), Some(Class::Unknown), Some(Class::Static), None];
/// The place of a class in [`CLASSES`].
#[must_use]
pub fn row(class: Option<Class>) -> usize {
    match class {
        Some(Class::None) => 0,
        Some(Class::Dynamic) => 1,
        Some(Class::Unknown) => 2,
        Some(Class::Static) => 3,
        Some(Class::NotLookedUp) | None => 4,
    }
}

/// The interval at which the local time is looked up, in milliseconds: zones differ from
/// UTC by quarters of an hour.
const QUARTER: i64 = 900_000;

/// What is counted for one class.
#[derive(Debug, Default)]
pub struct OfClass {
    /// Clients by verdict.
    pub clients: ByVerdict,
    /// When early talkers talked, in seconds since the accept, including those whose talk
    /// was only logged.
    pub talk: Histogram,
    /// When clients left, in seconds since the accept.
    pub leave: Histogram,
    /// How long clients waited that passed.
    pub pass: Histogram,
    /// The seconds that its clients waited, added up.
    pub seconds: f64,
    /// Clients that passed as known ones, whose delay is not that of the class.
    pub known: u64,
    /// How often each delay was given, in milliseconds, where neither the load nor being
    /// known had made it shorter.
    pub delays: BTreeMap<u32, u64>,
}

/// Top lists.
#[derive(Debug, Default)]
pub struct Tops {
    /// Networks (/24 or /64) of clients that did not pass.
    pub networks: Top,
    /// Domains of their names.
    pub domains: Top,
    /// Rules that denied.
    pub rules: Top,
    /// Lists that had clients, and limits that were reached.
    pub lists: Top,
    /// The same for limits.
    pub limits: Top,
}

/// Lines that are not about a client.
#[derive(Clone, Copy, Debug, Default)]
pub struct Service {
    /// Starts of the daemon.
    pub starts: u64,
    /// Reloads.
    pub reloads: u64,
    /// Stops.
    pub stops: u64,
    /// Lines that the daemon says were lost.
    pub lost: u64,
}

/// All that is counted.
pub struct Figures {
    /// By class, in the order of [`CLASSES`].
    pub classes: [OfClass; CLASSES.len()],
    /// Verdicts that were logged and not carried out.
    pub told_only: ByVerdict,
    /// By hour of the day, local time.
    pub hours: [ByVerdict; 24],
    /// By day, local time.
    pub days: BTreeMap<Date, ByVerdict>,
    /// Waits of passed clients that were known, and of those that were not.
    pub known: [Histogram; 2],
    /// Programs: seconds from the accept to their ends.
    pub ends: Histogram,
    /// Waiting clients at once.
    pub waiting: Occupancy,
    /// Clients at once, with the program too.
    pub held: Occupancy,
    /// What comes most often.
    pub top: Tops,
    /// Clients that may have been refused wrongly.
    pub false_positives: FalsePositives,
    /// Lines that are not about a client.
    pub service: Service,
    /// The first and the last time.
    pub span: Option<(Moment, Moment)>,
    zone: TimeZone,
    quarter: i64,
    local: (Date, usize),
}

impl Figures {
    /// No counts; days and hours are those of `zone`.
    #[must_use]
    pub fn new(zone: TimeZone) -> Self {
        Self {
            classes: Default::default(),
            told_only: [0; 6],
            hours: [[0; 6]; 24],
            days: BTreeMap::new(),
            known: Default::default(),
            ends: Histogram::default(),
            waiting: Occupancy::default(),
            held: Occupancy::default(),
            top: Tops::default(),
            false_positives: FalsePositives::default(),
            service: Service::default(),
            span: None,
            zone,
            quarter: i64::MIN,
            local: (Date::ZERO, 0),
        }
    }

    /// Counts `event`, which was logged `times` times.
    pub fn add(&mut self, at: Option<Moment>, times: u64, event: &Event<'_>) {
        if let Some(at) = at {
            let (first, last) = self.span.unwrap_or((at, at));
            self.span = Some((first.min(at), last.max(at)));
        }
        match event {
            Event::Client(client) => self.client(at, times, client),
            Event::End { seconds } => {
                self.ends.add(*seconds, times);
                if let Some(at) = at {
                    self.held.add(at, *seconds, times);
                }
            }
            Event::Start => self.service.starts += times,
            Event::Reload => self.service.reloads += times,
            Event::Stop => self.service.stops += times,
            Event::Lost(lines) => self.service.lost += lines * times,
        }
    }

    fn client(&mut self, at: Option<Moment>, times: u64, client: &Client<'_>) {
        let verdict = client.verdict as usize;
        let class = &mut self.classes[row(client.class)];
        if client.verdict == Verdict::Early {
            class.talk.add(client.waited, times);
        }
        if client.told_only {
            self.told_only[verdict] += times;
            return;
        }
        class.count(client, times);
        if client.verdict == Verdict::Pass {
            self.known[usize::from(client.known.is_none())].add(client.waited, times);
        }
        if let Some(at) = at {
            self.at_time(at, times, client);
        }
        self.rank(client, times);
        self.false_positives.note(client);
    }

    fn at_time(&mut self, at: Moment, times: u64, client: &Client<'_>) {
        self.waiting.add(at, client.waited, times);
        if client.verdict != Verdict::Pass {
            self.held.add(at, client.waited, times);
        }
        let (date, hour) = self.local(at);
        self.hours[hour][client.verdict as usize] += times;
        self.days.entry(date).or_default()[client.verdict as usize] += times;
    }

    /// The day, and the hour of it.
    fn local(&mut self, at: Moment) -> (Date, usize) {
        let quarter = at.0.div_euclid(QUARTER);
        if quarter != self.quarter {
            self.quarter = quarter;
            let time = Timestamp::from_millisecond(at.0).unwrap_or_default();
            let time = time.to_zoned_datetime(self.zone.clone());
            self.local = (time.date(), usize::try_from(time.hour()).unwrap_or(0));
        }
        self.local
    }

    fn rank(&mut self, client: &Client<'_>, times: u64) {
        if client.verdict == Verdict::Pass {
            return;
        }
        if let Some(network) = Network::of(client.ip) {
            self.top.networks.add(network.text(), times);
        }
        if let Some(host) = client.host {
            self.top.domains.add(domain(host), times);
        }
        let list = match client.verdict {
            Verdict::Deny => &mut self.top.rules,
            Verdict::Listed => &mut self.top.lists,
            Verdict::Limit => &mut self.top.limits,
            _ => return,
        };
        if let Some(why) = client.why {
            list.add(why, times);
        }
    }
}

impl OfClass {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    fn count(&mut self, client: &Client<'_>, times: u64) {
        self.clients[client.verdict as usize] += times;
        self.seconds += client.waited * times as f64;
        match client.verdict {
            Verdict::Pass => self.pass.add(client.waited, times),
            Verdict::Hangup => self.leave.add(client.waited, times),
            _ => (),
        }
        if client.known.is_some() {
            self.known += times;
            return;
        }
        if let (Some(delay), false) = (client.delay, client.shrunk) {
            *self.delays.entry((delay.min(86_400.0) * 1000.0) as u32).or_default() += times;
        }
    }

    /// The delay that was given most often, in seconds.
    #[must_use]
    pub fn usual_delay(&self) -> Option<f64> {
        let (delay, _) = self.delays.iter().max_by_key(|(_, times)| **times)?;
        Some(f64::from(*delay) / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::reading::line::{Read, read};

    #[test]
    fn the_delay_of_known_clients_is_not_that_of_their_class() {
        let mut figures = Figures::new(TimeZone::UTC);
        for (line, times) in [
            ("pass ip=192.0.2.7 class=static delay=0 waited=0.01 known=1.50", 9),
            ("pass ip=192.0.2.8 class=static delay=2 waited=2.00 known=-", 2),
        ] {
            let Read::Event(event) = read(line.as_bytes()) else { panic!("{line}") };
            figures.add(None, times, &event);
        }
        let class = &figures.classes[row(Some(Class::Static))];
        assert_eq!((class.usual_delay(), class.known), (Some(2.0), 9));
        assert_eq!(class.clients[Verdict::Pass as usize], 11);
    }

    #[test]
    fn every_class_has_a_row() {
        assert_eq!(CLASSES.map(row), [0, 1, 2, 3, 4]);
        assert!(Class::JUDGED.into_iter().all(|class| CLASSES[row(Some(class))] == Some(class)));
    }
}
