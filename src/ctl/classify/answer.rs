//! What is printed about a client: its class, and what decides about each of its names.

use std::fmt::Write as _;
use std::net::IpAddr;

use serde_json::{Value, json};

use super::remembered::Remembered;
use crate::class::Class;
use crate::connection::lookup::host_name::HostName;
use crate::escape::Printable;
use crate::names::{Evidence, Judgement, Names, Reason, THRESHOLD};

/// A client that was classified.
pub(super) struct Answer<'a> {
    pub(super) ip: IpAddr,
    pub(super) host: &'a HostName,
    pub(super) names: &'a Names,
    pub(super) class: Class,
    /// If a keeper was asked.
    pub(super) remembered: Option<Remembered>,
}

impl Answer<'_> {
    /// A line for each name, what is remembered, and a line with the class.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for name in self.host.all() {
            let what = match self.names.judge(name, self.ip) {
                Judgement::Dynamic(_) => "a dynamic (residential) host name",
                Judgement::Ordinary(_) => "not a dynamic host name",
            };
            let _ = writeln!(text, "{name}: {what}: {}", self.reason(name));
        }
        if let Some(remembered) = &self.remembered {
            text.push_str(&remembered.text());
        }
        let why = self.without_name().map(|why| format!(": {why}")).unwrap_or_default();
        let _ = writeln!(text, "{}{why}", self.class);
        text
    }

    /// `IP NAME CLASS REASON`, several names with commas between them, their reasons
    /// with semicolons; `-` stands for no name, `given` for one that is none.
    pub(super) fn line(&self, given: &str) -> String {
        let (ip, class) = (self.ip, self.class);
        if let Some(why) = self.without_name() {
            return format!("{ip} {given} {class} {why}\n");
        }
        let names = self.host.all();
        let reasons: Vec<String> = names.iter().map(|name| self.reason(name)).collect();
        format!("{ip} {} {class} {}\n", names.join(","), reasons.join("; "))
    }

    pub(super) fn json(&self) -> Value {
        let names = self.host.all().iter().map(|name| {
            let judgement = self.names.judge(name, self.ip);
            let is_dynamic = matches!(judgement, Judgement::Dynamic(_));
            let (Judgement::Dynamic(reason) | Judgement::Ordinary(reason)) = judgement;
            let mut object = in_json(&reason);
            object["name"] = json!(name);
            object["dynamic"] = json!(is_dynamic);
            object
        });
        let mut object = json!({
            "address": self.ip.to_string(),
            "class": self.class.to_string(),
            "names": names.collect::<Vec<Value>>(),
            "why": self.without_name(),
        });
        if let Some(remembered) = &self.remembered {
            remembered.add_to(&mut object);
        }
        object
    }

    fn reason(&self, name: &str) -> String {
        let (Judgement::Dynamic(reason) | Judgement::Ordinary(reason)) =
            self.names.judge(name, self.ip);
        Printable(reason.to_string().as_bytes()).to_string()
    }

    fn without_name(&self) -> Option<String> {
        match self.host {
            HostName::Found(_) => None,
            HostName::None | HostName::NotAsked => Some("there is no host name".into()),
            HostName::Unknown(why) => Some(why.to_string()),
        }
    }
}

fn in_json(reason: &Reason<'_>) -> Value {
    match reason {
        Reason::Expression(origin) => json!({ "file": origin.file, "line": origin.line }),
        Reason::Evidence(evidence) => json!({
            "points": evidence.score(),
            "needed": THRESHOLD,
            "evidence": pieces(evidence),
        }),
        Reason::NoRules => json!({}),
    }
}

fn pieces(evidence: &Evidence<'_>) -> Vec<Value> {
    let piece = |piece: crate::names::Piece<'_>| {
        json!({
            "points": piece.sign.weight(),
            "what": piece.sign.to_string(),
            "text": (!piece.text.is_empty()).then_some(piece.text),
        })
    };
    evidence.pieces().map(piece).collect()
}
