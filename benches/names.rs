//! What it costs to judge a name: time, and what is allocated for it, which has to be
//! nothing, or it ends with 1.
//!
//! `cargo bench --bench names -- [--rounds N] [--times N]`

#![allow(clippy::unwrap_used, clippy::similar_names, unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use smtp_delay::class::Class;
use smtp_delay::connection::decided::class::class_of;
use smtp_delay::connection::lookup::HostName;
use smtp_delay::names::{Names, Patterns};
use support::{Figures, arguments};

/// The system's, which counts what it is asked for.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: it passes everything on to the system's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as for the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as for the caller.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const IP: &str = "192.0.2.7";
const IP6: &str = "2001:db8:12:345::abcd:7";
/// What the contract allows, in nanoseconds.
const MOST: f64 = 5000.0;
const NAMES: [(&str, &str, &str); 12] = [
    ("a mail server's", IP, "mx1.example.org"),
    ("neither", IP, "www.some-company.example"),
    ("the address in it", IP, "dsl-192-0-2-7.isp.example.net"),
    ("a provider's word", IP, "host3.dynamic.adsl.provider.example"),
    ("long and neither", IP, LONG),
    ("as long as can be", IP, LONGEST),
    ("IPv6, a mail server's", IP6, "mx1.example.org"),
    ("IPv6, its groups", IP6, "2001-db8-12-345-0-0-abcd-7.line.isp.example"),
    ("IPv6, its nibbles", IP6, NIBBLES),
    ("IPv6, a half of it", IP6, "h-0-0-abcd-7.customers.isp.example"),
    ("IPv6, long, neither", IP6, LONG),
    ("IPv6, longest", IP6, LONGEST),
];
const NIBBLES: &str = "7.0.0.0.d.c.b.a.0.0.0.0.0.0.0.0.5.4.3.0.2.1.0.0.8.b.d.0.1.0.0.2.isp.example";
const LONG: &str = "a-very-long-label-without-any-meaning-at-all.another-label-of-some-length.and-\
                    one-more-that-takes-its-time.and-yet-another-one.departments.company.example";
const LONGEST: &str = "the-first-of-many-words.c7-2.and-c0a8-2.which-say-nothing-of-it.a1.b22.c333.\
                       the-second-of-many-words.c7-2.and-c0a8-2.which-say-nothing-of-it.a1.b22.c333.\
                       the-third-of-many-words.c7-2.and-c0a8-2.which-say-nothing.a1.b22.company-with-a-name-too.xyz.example";
/// Of one's own: ten, as an administrator may have them.
const EXPRESSIONS: &str = "^ip[0-9]+\\.\n\\bwifi\\b\n^[a-z]+-[0-9]{2,3}-[0-9]{2,3}\\.\n\\.pool[0-9]*\\.\n\
                           ^host[0-9a-f]{8}\\.\n\\bstb\\b\n\\bvpn[0-9]+\\b\n^cm[0-9]+\\.\n\\bguest\\b\n\
                           ^x[0-9]+\\.y[0-9]+\\.\n";

fn main() -> ExitCode {
    let [rounds, times] =
        arguments([("rounds", 7), ("times", 20_000)], "cargo bench --bench names --");
    let own = || Patterns::parse("own", EXPRESSIONS.as_bytes()).unwrap();
    let lists = [
        ("built-in rules", Names::new(true, Vec::new(), Vec::new())),
        ("and ten expressions", Names::new(true, vec![own()], Vec::new())),
    ];
    println!("{:<22} {:<21} {:>10} {:>8}  class", "rules", "name", "ns", "allocs");
    let mut allocated = 0;
    for (rules, names) in &lists {
        for (kind, ip, name) in NAMES {
            let host = HostName::Found(vec![name.into()]);
            let ip: IpAddr = ip.parse().unwrap();
            let (time, allocations, class) = judge(names, &host, ip, rounds, times);
            allocated += allocations;
            let told = if time < MOST && allocations == 0 { "held" } else { "SHORT" };
            println!("{rules:<22} {kind:<21} {time:>10.0} {allocations:>8}  {class:<8} {told}");
        }
    }
    if allocated > 0 {
        eprintln!("names: {allocated} allocations, none are allowed");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Nanoseconds (the median of the rounds) and allocations of one judgement.
fn judge(
    names: &Names,
    host: &HostName,
    ip: IpAddr,
    rounds: u32,
    times: u32,
) -> (f64, usize, Class) {
    let mut class = class_of(host, ip, names, &[]);
    let (mut figures, mut allocations) = (Figures::default(), 0);
    for _ in 0..rounds {
        let (before, start) = (ALLOCATED.load(Ordering::Relaxed), Instant::now());
        for _ in 0..times {
            class = class_of(black_box(host), ip, names, &[]);
        }
        allocations += ALLOCATED.load(Ordering::Relaxed) - before;
        figures.add(start.elapsed().as_secs_f64() * 1e9 / f64::from(times));
    }
    (figures.median(), allocations.div_ceil((rounds * times) as usize), class)
}
