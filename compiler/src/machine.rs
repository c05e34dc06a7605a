//! Measures the machine that predictions are for: small programs, by code of this compiler.
//!
//! What matters is what compiled loops reach, not what the data sheet promises, so that the rates
//! are those of programs: a sum of streams for each cache and for memory, a product of matrices, a
//! transcendental function, a sum without vectors. It takes about a tenth of a second.

use crate::{CallOptions, Compiler, Error, Executable, Tensor, TensorView, TensorViewMut};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};
use tcc_passes::cost::{Level, Machine};
use tcc_runtime::{Executor, Threads};

/// Each program is run for so long, and so often at least.
const SPAN: Duration = Duration::from_millis(6);
const SAMPLES: usize = 12;
/// Caches larger than this are shared with cores and machines that one does not see: what they
/// give is measured for several sizes.
const PRIVATE: f64 = 4.0 * MIB;
/// What programs use of shared caches.
const SHARED: [f64; 2] = [16.0 * MIB, 64.0 * MIB];
/// Bytes of the streams that stand for memory.
const MEMORY: f64 = 128.0 * MIB;
const MIB: f64 = 1024.0 * 1024.0;
/// Passes of code without vectors.
const SCALAR: &str = "inline_calls,lower{strided=true,vectorize=false}";

const ADD: &str = "fn add(A: f32[N], B: f32[N]) -> (C: f32[N]) { C[i] = A[i] + B[i] }";
const SUM: &str = "fn sum(A: f32[N]) -> (S: f32) { S += A[i] }";
const EXP: &str = "fn exps(A: f32[N]) -> (C: f32[N]) { C[i] = exp(A[i]) }";
const PRODUCT: &str = "fn product(A: f32[192,192], B: f32[192,192]) -> (C: f32[192,192]) { C[i,j] = A[i,k] * B[k,j] }";
/// Rows and columns of the product.
const SIDE: usize = 192;

impl Compiler {
    /// How fast this machine runs code for the compiler's target. For a target whose code does not
    /// run here it is [`Machine::nominal`].
    ///
    /// # Errors
    /// Memory for the programs that are measured cannot be had.
    pub fn measure_machine(&self) -> Result<Machine, Error> {
        let cores = Threads::global().threads();
        let here = tcc_runtime::host_features();
        let foreign = self.target().architecture != std::env::consts::ARCH
            || self.target().features.iter().any(|f| !here.contains(&f.as_str()));
        if foreign {
            return Ok(Machine::nominal(cores));
        }
        let plain = Compiler::new(self.target().clone());
        let scalar = plain.clone().passes(SCALAR)?;
        let lanes = f64::from(self.target().vector_bytes) / 4.0;
        let add = plain.compile(ADD)?;
        let call = time(&add, &[&[1], &[1]])?;
        let net = |time: f64| (time - call).max(1e-3 * time);
        let sum = plain.compile(SUM)?;
        let mut levels = Vec::new();
        let mut loads = 0.0;
        for bytes in capacities() {
            // Three quarters of a cache are surely in it.
            let elements = ((0.75 * bytes).min(MEMORY) / 4.0) as usize;
            let reads = 4.0 * elements as f64 / net(time(&sum, &[&[elements]])?);
            let third = elements / 3;
            let added = net(time(&add, &[&[third], &[third]])?);
            if levels.is_empty() {
                loads = 3.0 * third as f64 / lanes / added;
            }
            let written = added - 8.0 * third as f64 / reads;
            let writes = 4.0 * third as f64 / written.max(0.1 * added);
            levels.push(Level { bytes, reads, writes });
        }
        let product = time(&plain.compile(PRODUCT)?, &[&[SIDE, SIDE], &[SIDE, SIDE]])?;
        let vectors = (SIDE * SIDE * SIDE) as f64 / lanes / net(product);
        let count = 2048usize;
        let exps = net(time(&plain.compile(EXP)?, &[&[count]])?);
        let added = net(time(&scalar.compile(ADD)?, &[&[count], &[count]])?);
        let summed = net(time(&scalar.compile(SUM)?, &[&[count]])?);
        Ok(Machine {
            levels,
            vectors,
            loads,
            latency: summed / count as f64,
            // An operation and three elements.
            scalar: added / count as f64 / 4.0,
            expanded: (exps * lanes / count as f64 * vectors).max(1.0),
            call,
            meeting: Machine::nominal(cores).meeting,
            cores,
        })
    }
}

/// Nanoseconds of a call on one thread: the least of many samples, which others disturb least.
fn time(f: &Executable, shapes: &[&[usize]]) -> Result<f64, Error> {
    let mut inputs = Vec::new();
    for shape in shapes {
        inputs.push(Tensor::from_slice(&vec![0.5f32; shape.iter().product()], shape)?);
    }
    let views: Vec<TensorView<'_>> = inputs.iter().map(Tensor::view).collect();
    let options = CallOptions { threads: Some(NonZeroUsize::MIN), ..CallOptions::default() };
    let mut results = f.run_with(&views, &options)?;
    let mut out: Vec<TensorViewMut<'_>> = results.iter_mut().map(Tensor::view_mut).collect();
    let first = Instant::now();
    f.run_into(&views, &mut out, &options)?;
    let calls = (20_000 / first.elapsed().as_nanos().max(1)).clamp(1, 1000) as u32;
    let (started, mut least, mut samples) = (Instant::now(), f64::INFINITY, 0);
    while started.elapsed() < SPAN || samples < SAMPLES {
        samples += 1;
        let sample = Instant::now();
        for _ in 0..calls {
            f.run_into(&views, &mut out, &options)?;
        }
        least = least.min(sample.elapsed().as_nanos() as f64 / f64::from(calls));
    }
    Ok(least.max(0.1))
}

/// Bytes of the caches that a core uses, the nearest first, and infinity for memory. Where the
/// system does not tell they are those of the nominal machine.
fn capacities() -> Vec<f64> {
    let mut found: Vec<(u32, f64)> = Vec::new();
    for index in 0..8 {
        let folder = format!("/sys/devices/system/cpu/cpu0/cache/index{index}");
        let read = |name: &str| std::fs::read_to_string(format!("{folder}/{name}")).ok();
        let (Some(level), Some(kind), Some(size)) = (read("level"), read("type"), read("size"))
        else {
            continue;
        };
        let kib = size.trim().strip_suffix('K').and_then(|n| n.parse::<f64>().ok());
        if let (Ok(level), Some(kib)) = (level.trim().parse(), kib)
            && kind.trim() != "Instruction"
        {
            found.push((level, kib * 1024.0));
        }
    }
    found.sort_by_key(|(level, _)| *level);
    let mut sizes: Vec<f64> = found.into_iter().map(|(_, bytes)| bytes).collect();
    if sizes.is_empty() {
        sizes = Machine::nominal(1).levels.iter().map(|l| l.bytes).collect();
    }
    let largest = sizes.iter().copied().filter(|b| b.is_finite()).fold(0.0, f64::max);
    sizes.retain(|bytes| *bytes <= PRIVATE);
    sizes.extend(SHARED.into_iter().filter(|bytes| *bytes < largest));
    sizes.push(f64::INFINITY);
    sizes
}
