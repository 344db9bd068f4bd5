//! How many connections and children there may be, as far as that follows from the
//! number of slots.

use super::Options;

impl Options {
    /// The most connections from one address: by default a quarter of the slots and at
    /// least 4 (as tcpserver any number); `None` for any number.
    #[must_use]
    pub fn per_ip(&self) -> Option<usize> {
        let usual = if self.as_tcpserver { 0 } else { (self.slots / 4).max(4) };
        Some(self.per_ip.unwrap_or(usual)).filter(|most| *most > 0)
    }

    /// Slots for clients that are not suspicious: by default 20 percent (as tcpserver
    /// none), rounded down.
    #[must_use]
    pub fn reserve(&self) -> usize {
        let usual = if self.as_tcpserver { 0 } else { 20 };
        self.slots * self.reserve_percent.unwrap_or(usual) / 100
    }

    /// Idle children to keep, within the slots.
    #[must_use]
    pub fn min_idle(&self) -> usize {
        self.min_idle.unwrap_or(5).clamp(1, self.slots)
    }

    /// Idle children to keep at most, within the slots.
    #[must_use]
    pub fn max_idle(&self) -> usize {
        self.max_idle.unwrap_or(4 * self.min_idle()).clamp(self.min_idle(), self.slots)
    }

    /// How many children may run the program at once.
    #[must_use]
    pub fn max_prog(&self) -> usize {
        self.max_prog.unwrap_or(self.slots).min(self.slots)
    }

    /// The backlog: `-b`, else the number of slots within 20 and 1024 (20 for
    /// tcpserver).
    #[must_use]
    pub fn backlog(&self) -> u32 {
        if self.as_tcpserver {
            return self.backlog.unwrap_or(20);
        }
        self.backlog.unwrap_or_else(|| u32::try_from(self.slots.clamp(20, 1024)).unwrap_or(1024))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_stay_within_the_slots() {
        let options = Options { slots: 3, ..Options::default() };
        assert_eq!((options.min_idle(), options.max_idle(), options.max_prog()), (3, 3, 3));
        assert_eq!(options.backlog(), 20);
        assert_eq!((options.per_ip(), options.reserve()), (Some(4), 0));
        let options = Options { slots: 2000, min_idle: Some(10), ..Options::default() };
        assert_eq!((options.min_idle(), options.max_idle()), (10, 40));
        assert_eq!(options.backlog(), 1024);
        assert_eq!((options.per_ip(), options.reserve()), (Some(500), 400));
        let tcpserver = Options::for_tcpserver();
        assert_eq!((tcpserver.per_ip(), tcpserver.reserve()), (None, 0));
        let options = Options { per_ip: Some(0), reserve_percent: Some(50), ..tcpserver };
        assert_eq!((options.per_ip(), options.reserve()), (None, 20));
    }
}
