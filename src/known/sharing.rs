//! What is known of the engine by which keepers share their clients.

/// Whether clients are shared with other hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// No engine was named.
    Off,
    /// The engine is used.
    Up,
    /// It cannot be used: this keeper goes on alone.
    Down(Obstacle),
}

/// What kind of trouble there is with an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// None so far: it is being connected to for the first time.
    Starting,
    /// It cannot be reached, does not answer, or is no engine.
    Unreachable,
    /// It is loading its data, and will be of use afterwards.
    Loading,
    /// It takes no changes, being a replica or unable to save.
    ReadOnly,
    /// Its memory is full.
    Full,
    /// It does not let us in, or not do what we have to.
    Denied,
    /// It is a node of a cluster, and has only some of the keys.
    Cluster,
    /// It refuses commands for another reason.
    Refusing,
}

impl Sharing {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Off,
        Self::Up,
        Self::Down(Obstacle::Starting),
        Self::Down(Obstacle::Unreachable),
        Self::Down(Obstacle::Loading),
        Self::Down(Obstacle::ReadOnly),
        Self::Down(Obstacle::Full),
        Self::Down(Obstacle::Denied),
        Self::Down(Obstacle::Cluster),
        Self::Down(Obstacle::Refusing),
    ];

    /// Its word for the administrator.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Up => "up",
            Self::Down(Obstacle::Starting) => "starting",
            Self::Down(Obstacle::Unreachable) => "unreachable",
            Self::Down(Obstacle::Loading) => "loading",
            Self::Down(Obstacle::ReadOnly) => "read-only",
            Self::Down(Obstacle::Full) => "full",
            Self::Down(Obstacle::Denied) => "denied",
            Self::Down(Obstacle::Cluster) => "cluster",
            Self::Down(Obstacle::Refusing) => "refusing",
        }
    }

    /// Whether clients are shared; `None` if no engine was named.
    #[must_use]
    pub fn is_up(self) -> Option<bool> {
        match self {
            Self::Off => None,
            Self::Up => Some(true),
            Self::Down(_) => Some(false),
        }
    }

    /// Its byte in messages and in the scoreboard.
    #[must_use]
    pub fn byte(self) -> u8 {
        (0..).zip(Self::ALL).find(|(_, state)| *state == self).map_or(0, |(byte, _)| byte)
    }

    /// The state of a byte.
    #[must_use]
    pub fn of_byte(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_byte_and_its_word() {
        let mut words: Vec<&str> = Vec::new();
        for state in Sharing::ALL {
            assert_eq!(Sharing::of_byte(state.byte()), Some(state));
            words.push(state.word());
        }
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Sharing::ALL.len());
        assert_eq!(Sharing::Off.byte(), 0, "a scoreboard begins with zeros");
        assert_eq!(Sharing::of_byte(10), None);
    }
}
