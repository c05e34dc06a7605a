//! How fast a machine is, as far as predictions need it.

/// Rates of one core, and what cores share. [`Machine::nominal`] stands in where nothing was
/// measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// Caches and memory, the nearest first.
    pub levels: Vec<Level>,
    /// Multiplications with an addition, of whole vectors, that a core does in a nanosecond.
    pub vectors: f64,
    /// Vectors that a core loads from its nearest cache in a nanosecond.
    pub loads: f64,
    /// Nanoseconds until the sum of two floats can be used.
    pub latency: f64,
    /// Nanoseconds of an operation outside of vector loops, or of an element that is loaded there.
    pub scalar: f64,
    /// Additions that a transcendental function takes as long as.
    pub expanded: f64,
    /// Nanoseconds of a call of a function.
    pub call: f64,
    /// Nanoseconds until other threads have come to help.
    pub meeting: f64,
    /// Cores.
    pub cores: usize,
}

/// A cache, or the memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// What it holds, in bytes; infinite for memory.
    pub bytes: f64,
    /// Bytes in a nanosecond that a core gets from it.
    pub reads: f64,
    /// Bytes in a nanosecond that a core puts there.
    pub writes: f64,
}

impl Machine {
    /// A machine that nobody has measured: what vendors' optimization manuals state for cores of
    /// the last ten years, at 3 GHz. Two multiply-adds and two loads a cycle, four cycles for a
    /// sum; 32 KiB, 1 MiB and 32 MiB of caches that give 64, 32 and 8 bytes a cycle; memory of 10
    /// GB/s for each core. What is written is read first. (Intel 64 and IA-32 Architectures
    /// Optimization Reference Manual, chapter 2; Software Optimization Guide for the AMD Zen4
    /// Microarchitecture, chapter 2.)
    pub fn nominal(cores: usize) -> Machine {
        let level = |bytes: f64, rate: f64| Level { bytes, reads: rate, writes: rate / 2.0 };
        Machine {
            levels: vec![
                level(32.0 * 1024.0, 192.0),
                level(1024.0 * 1024.0, 96.0),
                level(32.0 * 1024.0 * 1024.0, 24.0),
                level(f64::INFINITY, 10.0),
            ],
            vectors: 6.0,
            loads: 6.0,
            latency: 1.33,
            scalar: 0.33,
            expanded: 12.0,
            call: 50.0,
            meeting: 20_000.0,
            cores,
        }
    }
}
