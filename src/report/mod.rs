//! Reads our log lines, and shows what the delays did, and what other delays would have
//! done.

pub mod asked;
pub mod counting;
pub mod output;
mod progress;
pub mod reading;

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use jiff::tz::TimeZone;

use asked::Asked;
use counting::figures::Figures;
use counting::summary::{Lines, Summary, summarize};
use progress::Progress;
use reading::entry::Entry;
use reading::line::{Read, read};
use reading::merge::{Merged, Unread};
use reading::reader::Reader;
use reading::source;

/// Entries between two updates of the progress.
const LOOK: u64 = 4096;
/// Tags under which the daemon and the link write.
const TAGS: [&str; 2] = ["smtp-delayd", "smtp-delay"];

/// The contents of the files, and those that could not be read to their end.
#[must_use]
pub fn report(asked: &Asked, zone: &TimeZone) -> (Summary, Vec<Unread>) {
    let done = Arc::new(AtomicU64::new(0));
    let (mut files, mut unread) = open(&asked.files, &done, zone);
    let mut progress = Progress::new(done, source::total(&asked.files));
    let (mut figures, mut lines) = (Figures::new(zone.clone()), Lines::default());
    loop {
        match files.next_entry() {
            Ok(Some(entry)) => {
                count(&entry, asked, &mut figures, &mut lines);
                if lines.read % LOOK == 0 {
                    progress.show();
                }
            }
            Ok(None) => break,
            Err(why) => unread.push(why),
        }
    }
    progress.end();
    (summarize(&mut figures, lines, asked.top, &asked.delays), unread)
}

fn open(
    paths: &[impl AsRef<OsStr>],
    done: &Arc<AtomicU64>,
    zone: &TimeZone,
) -> (Merged, Vec<Unread>) {
    let (mut files, mut unread) = (Merged::default(), Vec::new());
    for path in paths {
        let path = path.as_ref();
        let name = Path::new(path).display().to_string();
        let reader = source::open(path, done).and_then(|source| Reader::new(source, zone.clone()));
        let added = match reader {
            Ok(reader) => files.add(name, reader),
            Err(why) => Err(Unread { name, why }),
        };
        unread.extend(added.err());
    }
    (files, unread)
}

fn count(entry: &Entry<'_>, asked: &Asked, figures: &mut Figures, lines: &mut Lines) {
    lines.read += entry.times;
    if !is_of(entry.tag, asked.tag.as_deref()) || !asked.is_within(entry.at) {
        return;
    }
    match read(entry.message) {
        Read::Event(event) => {
            lines.ours += entry.times;
            figures.add(entry.at, entry.times, &event);
        }
        Read::Other => lines.ours += entry.times,
        Read::Bad => {
            lines.ours += entry.times;
            lines.bad += entry.times;
        }
        Read::Foreign => (),
    }
}

/// A line without a tag is recognised by its contents.
fn is_of(tag: Option<&[u8]>, asked: Option<&str>) -> bool {
    match (tag, asked) {
        (None, _) => true,
        (Some(tag), Some(asked)) => tag == asked.as_bytes(),
        (Some(tag), None) => TAGS.iter().any(|known| known.as_bytes() == tag),
    }
}

/// Whether no line of ours was found.
#[must_use]
pub fn is_empty(summary: &Summary) -> bool {
    summary.lines.ours == 0
}
