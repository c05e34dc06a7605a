//! Machine code in executable memory, without a compiler.

mod imports;

pub use imports::import_address;

use crate::LoadError;
use memmap2::{Mmap, MmapMut};
use tcc_abi::{CodeImage, KernelFn, Reloc, RelocKind, RelocTarget};

/// Compiled kernels in memory.
pub trait Code: Send + Sync {
    /// The kernel of this number. It stays callable as long as `self` lives.
    fn kernel(&self, index: usize) -> Option<KernelFn>;
}

/// The code of an image, mapped: written first, then made executable and never writable again.
pub struct MappedCode {
    map: Option<Mmap>,
    entries: Vec<u32>,
}

impl MappedCode {
    /// Maps the code and resolves its relocations.
    pub fn map(code: &CodeImage) -> Result<MappedCode, LoadError> {
        check_machine(code)?;
        if code.kernels.iter().any(|k| k.entry as usize >= code.text.len()) {
            return Err(LoadError::Damaged("a kernel begins outside of the code"));
        }
        let entries = code.kernels.iter().map(|k| k.entry).collect();
        if code.text.is_empty() {
            return Ok(MappedCode { map: None, entries });
        }
        let mut map = MmapMut::map_anon(code.text.len()).map_err(LoadError::Map)?;
        map.copy_from_slice(&code.text);
        let base = map.as_ptr() as u64;
        for r in &code.relocs {
            patch(&mut map, base, (r, &code.symbols))?;
        }
        let map = map.make_exec().map_err(LoadError::Map)?;
        clear_cache(&map)?;
        Ok(MappedCode { map: Some(map), entries })
    }
}

impl Code for MappedCode {
    fn kernel(&self, index: usize) -> Option<KernelFn> {
        let entry = *self.entries.get(index)? as usize;
        let address = self.map.as_ref()?.get(entry..)?.as_ptr();
        // SAFETY: the image says that a function of this signature begins here, and images are
        // trusted like executables; the mapping lives as long as `self`.
        Some(unsafe { std::mem::transmute::<*const u8, KernelFn>(address) })
    }
}

/// The code must be for this architecture, and the machine must have the features it uses.
fn check_machine(code: &CodeImage) -> Result<(), LoadError> {
    let (found, expected) = (code.architecture.as_str(), std::env::consts::ARCH);
    if found != expected {
        return Err(LoadError::Architecture { found: found.to_owned(), expected });
    }
    let have = host_features();
    match code.features.iter().find(|f| !have.contains(&f.as_str())) {
        Some(missing) => Err(LoadError::Feature(missing.clone())),
        None => Ok(()),
    }
}

/// Writes one address into the code at `base`.
fn patch(text: &mut [u8], base: u64, (r, symbols): (&Reloc, &[String])) -> Result<(), LoadError> {
    let damaged = LoadError::Damaged("a relocation points outside of the code");
    let at = r.offset as usize;
    let target = match r.target {
        RelocTarget::Text(t) if (t as usize) < text.len() => base + u64::from(t),
        RelocTarget::Text(_) => return Err(damaged),
        RelocTarget::Import(i) => import_address(i, symbols)?,
    };
    let value = target.wrapping_add_signed(r.addend);
    let place = base + u64::from(r.offset);
    let mut write = |bytes: &[u8]| match text.get_mut(at..at + bytes.len()) {
        Some(field) => {
            field.copy_from_slice(bytes);
            Ok(())
        }
        None => Err(LoadError::Damaged("a relocation lies outside of the code")),
    };
    let distance = value.wrapping_sub(place) as i64;
    let far = |_| LoadError::Damaged("a relocation is too far");
    match r.kind {
        RelocKind::Abs8 => write(&value.to_le_bytes()),
        RelocKind::X86PcRel4 => write(&i32::try_from(distance).map_err(far)?.to_le_bytes()),
        RelocKind::Arm64Call => {
            let words = i32::try_from(distance >> 2).map_err(far)?;
            let old = text.get(at..at + 4).ok_or(damaged)?;
            let old = u32::from_le_bytes([old[0], old[1], old[2], old[3]]);
            let field = (words as u32) & 0x03ff_ffff;
            let mut write = |bytes: [u8; 4]| text[at..at + 4].copy_from_slice(&bytes);
            write(((old & !0x03ff_ffff) | field).to_le_bytes());
            Ok(())
        }
    }
}

/// Makes the new code visible to instruction fetch where caches are not coherent.
fn clear_cache(map: &Mmap) -> Result<(), LoadError> {
    use wasmtime_internal_jit_icache_coherence as icache;
    let (start, len) = (map.as_ptr(), map.len());
    // SAFETY: the range is the mapping that was just written and is not executed yet.
    let cleared = unsafe { icache::clear_cache(start.cast(), len) };
    cleared.and_then(|()| icache::pipeline_flush_mt()).map_err(LoadError::Map)
}

/// The features of this machine that code may ask for.
pub fn host_features() -> Vec<&'static str> {
    let mut found = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        macro_rules! detect {
            ($($feature:tt),*) => {
                $(if std::is_x86_feature_detected!($feature) { found.push($feature); })*
            };
        }
        detect!(
            "sse3",
            "ssse3",
            "sse4.1",
            "sse4.2",
            "popcnt",
            "avx",
            "avx2",
            "fma",
            "bmi1",
            "bmi2",
            "lzcnt",
            "f16c",
            "avx512f",
            "avx512bw",
            "avx512cd",
            "avx512dq",
            "avx512vl",
            "avx512vbmi",
            "avx512bitalg",
            "avx512vnni",
            "avx512bf16"
        );
    }
    #[cfg(target_arch = "aarch64")]
    {
        macro_rules! detect {
            ($($feature:tt),*) => {
                $(if std::arch::is_aarch64_feature_detected!($feature) { found.push($feature); })*
            };
        }
        detect!("neon", "lse", "fp16", "paca", "pacg");
    }
    found
}
