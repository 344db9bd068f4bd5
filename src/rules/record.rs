//! What a rule says, in the form that tcprules writes into a cdb: `D` for a denial,
//! `+NAME=value` for a variable, each followed by a NUL.

/// The variables that set a client's delay, in seconds; the first one that is a number
/// counts.  The last is s/qmail's name.
pub const DELAY_VARIABLES: [&str; 3] = ["SMTPDELAY", "GREETDELAY", "SMTPD_GREETDELAY"];

/// All variables of rules that have an effect on how a client is received.
pub(crate) const VARIABLES: [&str; 5] =
    ["SMTPDELAY", "GREETDELAY", "SMTPD_GREETDELAY", "RELAYCLIENT", "RBLSMTPD"];

/// What a rule says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Whether the connection is denied.
    pub deny: bool,
    /// Variables to set, by name and value, in order.
    pub variables: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Rule {
    /// Reads a record as tcpserver does: parts that it does not know, or that lack their
    /// NUL, are ignored.
    #[must_use]
    pub fn decode(record: &[u8]) -> Self {
        let mut rule = Self::default();
        for part in parts(record) {
            match part.split_first() {
                Some((b'D', _)) => rule.deny = true,
                Some((b'+', variable)) => rule.variables.extend(split_variable(variable)),
                _ => (),
            }
        }
        rule
    }

    /// The record that tcprules would write.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut record = if self.deny { b"D\0".to_vec() } else { Vec::new() };
        for (name, value) in &self.variables {
            record.extend_from_slice(&[b"+", name.as_slice(), b"=", value, b"\0"].concat());
        }
        record
    }
}

/// The rule that applies to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Its key, or the network for one that is for a network.
    pub key: Vec<u8>,
    /// What it says, in the form of a cdb.
    pub record: Vec<u8>,
}

impl Match {
    /// What it says.
    #[must_use]
    pub fn rule(&self) -> Rule {
        Rule::decode(&self.record)
    }
}

/// The parts of a record that end in NUL.
pub(crate) fn parts(record: &[u8]) -> impl Iterator<Item = &[u8]> {
    let complete = record.iter().rposition(|byte| *byte == 0).unwrap_or(0);
    let complete = &record[..complete];
    let none = record.iter().all(|byte| *byte != 0);
    complete.split(|byte| *byte == 0).filter(move |_| !none)
}

fn split_variable(text: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let split = text.iter().position(|byte| *byte == b'=')?;
    Some((text[..split].to_vec(), text[split + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_tcpserver_reads_them() {
        let rule = Rule::decode(b"D\0+A=1\0+B=x=y\0+C=\0?\0+NOTHING\0+CUT=1");
        let variable = |name: &str, value: &str| (name.into(), value.into());
        let variables = vec![variable("A", "1"), variable("B", "x=y"), variable("C", "")];
        assert_eq!(rule, Rule { deny: true, variables });
        for nothing in [&b""[..], b"D", b"\0", b"+A=1"] {
            assert_eq!(Rule::decode(nothing), Rule::default(), "{nothing:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for record in [&b""[..], b"D\0", b"+A=1\0+B=\xff\n\0", b"D\0+A=1\0"] {
            assert_eq!(Rule::decode(record).encode(), record);
        }
    }
}
