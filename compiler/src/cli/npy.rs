//! Tensors in `.npy` and `.npz` files, by npyz and zip.
//!
//! bf16 has no type in these files: it is written as f32, which holds it exactly, and f32 is read
//! as bf16 where a parameter asks for it.

use super::report::Failure;
use half::f16;
use npyz::{DType as Stored, NpyFile, Order, TypeChar, WriterBuilder};
use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;
use tcc::{Complex32, Complex64, DType, Element, Tensor};
use tcc_ir::diag::Code;

/// Reads one tensor.
pub(crate) fn read(path: &Path) -> Result<Tensor, Failure> {
    let file = File::open(path).map_err(|e| Failure::file(path, "open", &e))?;
    let bytes = file.metadata().map_or(u64::MAX, |m| m.len());
    decode(BufReader::new(file), bytes).map_err(|e| Failure::file(path, "read", &e))
}

/// Reads all tensors of an archive.
pub(crate) fn read_archive(path: &Path) -> Result<Vec<(String, Tensor)>, Failure> {
    let file = File::open(path).map_err(|e| Failure::file(path, "open", &e))?;
    let failed = |e: &dyn std::fmt::Display| Failure::file(path, "read", e);
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(|e| failed(&e))?;
    let mut out = Vec::new();
    for k in 0..archive.len() {
        let entry = archive.by_index(k).map_err(|e| failed(&e))?;
        let name = entry.name().map_err(|e| failed(&e))?.into_owned();
        let Some(name) = name.strip_suffix(".npy").map(str::to_owned) else { continue };
        let bytes = entry.size();
        let tensor = decode(entry, bytes).map_err(|e| failed(&format!("`{name}`: {e}")))?;
        out.push((name, tensor));
    }
    Ok(out)
}

/// Decodes an array from a stream of at most `bytes` bytes.
fn decode(mut stream: impl Read, bytes: u64) -> Result<Tensor, String> {
    let (head, count) = head(&mut stream, bytes)?;
    let npy = NpyFile::new(head.as_slice().chain(stream)).map_err(|e| e.to_string())?;
    let Stored::Plain(ty) = npy.dtype() else {
        return Err("the array has records, not numbers".to_owned());
    };
    let needed = count.checked_mul(ty.num_bytes().unwrap_or(1) as u64);
    if needed.is_none_or(|n| n > bytes) {
        return Err(format!(
            "the header announces {:?} elements, the file is shorter",
            npy.shape()
        ));
    }
    match (ty.type_char(), ty.size_field()) {
        (TypeChar::Bool, 1) => elements::<bool>(npy),
        (TypeChar::Int, 1) => elements::<i8>(npy),
        (TypeChar::Int, 2) => elements::<i16>(npy),
        (TypeChar::Int, 4) => elements::<i32>(npy),
        (TypeChar::Int, 8) => elements::<i64>(npy),
        (TypeChar::Uint, 1) => elements::<u8>(npy),
        (TypeChar::Uint, 2) => elements::<u16>(npy),
        (TypeChar::Uint, 4) => elements::<u32>(npy),
        (TypeChar::Uint, 8) => elements::<u64>(npy),
        (TypeChar::Float, 2) => elements::<f16>(npy),
        (TypeChar::Float, 4) => elements::<f32>(npy),
        (TypeChar::Float, 8) => elements::<f64>(npy),
        (TypeChar::Complex, 8) => elements::<Complex32>(npy),
        (TypeChar::Complex, 16) => elements::<Complex64>(npy),
        _ => Err(format!("elements of type `{ty}` are not supported")),
    }
}

/// A header longer than this is refused.
const MAX_HEADER: u64 = 1 << 16;

/// The bytes in front of the elements, and the number of elements that they announce. The header is
/// looked at before the library reads it: that multiplies the extents without a check.
fn head(stream: &mut impl Read, bytes: u64) -> Result<(Vec<u8>, u64), String> {
    let cut_off = |_| "the file ends within its header".to_owned();
    let mut head = vec![0; 8];
    stream.read_exact(&mut head).map_err(cut_off)?;
    if !head.starts_with(b"\x93NUMPY") {
        return Err("this is no array: it does not begin as `.npy` files do".to_owned());
    }
    let width = if head.get(6) == Some(&1) { 2 } else { 4 };
    let mut length = [0; 4];
    stream.read_exact(&mut length[..width]).map_err(cut_off)?;
    head.extend(&length[..width]);
    let length = u64::from(u32::from_le_bytes(length));
    if length > MAX_HEADER {
        return Err(format!("the header of {length} bytes is longer than {MAX_HEADER}"));
    }
    let mut header = vec![0; length as usize];
    stream.read_exact(&mut header).map_err(cut_off)?;
    let text = String::from_utf8_lossy(&header);
    let shape = text.split_once("'shape'").and_then(|(_, rest)| rest.split_once(')'));
    let shape = shape.map_or("", |(shape, _)| shape);
    let numbers = shape.split(|c: char| !c.is_ascii_digit()).filter(|n| !n.is_empty());
    let extents: Vec<String> = numbers.map(str::to_owned).collect();
    let parsed = extents.iter().map(|n| n.parse::<u64>().ok());
    let count = parsed.into_iter().try_fold(1u64, |n, e| n.checked_mul(e?));
    head.extend(header);
    count.filter(|n| *n <= bytes).map(|n| (head, n)).ok_or_else(|| {
        format!("the header announces [{}] elements, the file is shorter", extents.join(", "))
    })
}

fn elements<T: Element + npyz::Deserialize>(npy: NpyFile<impl Read>) -> Result<Tensor, String> {
    let shape: Vec<usize> = npy.shape().iter().map(|n| *n as usize).collect();
    let order = npy.order();
    let mut values = npy.into_vec::<T>().map_err(|e| e.to_string())?;
    if order == Order::Fortran {
        let reversed: Vec<usize> = shape.iter().rev().copied().collect();
        values = transposed(&values, &reversed);
    }
    Tensor::from_slice(&values, &shape).map_err(|e| e.to_string())
}

/// The row-major elements of the transpose of a row-major tensor.
fn transposed<T: Copy>(values: &[T], shape: &[usize]) -> Vec<T> {
    let strides: Vec<usize> = (0..shape.len()).map(|k| shape[k + 1..].iter().product()).collect();
    let mut position = vec![0; shape.len()];
    let mut out = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        out.push(values[position.iter().zip(&strides).map(|(i, s)| i * s).sum::<usize>()]);
        // The first axis runs fastest.
        for (i, n) in position.iter_mut().zip(shape) {
            *i += 1;
            if *i < *n {
                break;
            }
            *i = 0;
        }
    }
    out
}

/// The bytes of a `.npy` file.
pub(crate) fn encode(t: &Tensor) -> Result<Vec<u8>, Failure> {
    let written = match t.dtype() {
        DType::Bool => bytes_of::<bool>(t),
        DType::I8 => bytes_of::<i8>(t),
        DType::I16 => bytes_of::<i16>(t),
        DType::I32 => bytes_of::<i32>(t),
        DType::I64 => bytes_of::<i64>(t),
        DType::U8 => bytes_of::<u8>(t),
        DType::U16 => bytes_of::<u16>(t),
        DType::U32 => bytes_of::<u32>(t),
        DType::U64 => bytes_of::<u64>(t),
        DType::F16 => bytes_of::<f16>(t),
        DType::F32 => bytes_of::<f32>(t),
        DType::F64 => bytes_of::<f64>(t),
        DType::C64 => bytes_of::<Complex32>(t),
        DType::C128 => bytes_of::<Complex64>(t),
        DType::BF16 => return encode(&converted(t, DType::F32)?),
        other => Err(std::io::Error::other(format!("{other} has no type in .npy files"))),
    };
    written.map_err(|e| Failure::new(Code::File, e.to_string()))
}

fn bytes_of<T: Element + npyz::AutoSerialize>(t: &Tensor) -> std::io::Result<Vec<u8>> {
    let shape: Vec<u64> = t.shape().iter().map(|n| *n as u64).collect();
    let mut out = Vec::new();
    let mut writer =
        npyz::WriteOptions::new().default_dtype().shape(&shape).writer(&mut out).begin_nd()?;
    let elements = t.as_slice::<T>().map_err(std::io::Error::other)?;
    writer.extend(elements.iter().copied())?;
    writer.finish()?;
    Ok(out)
}

/// The bytes of a `.npz` file.
pub(crate) fn encode_archive(tensors: &[(String, Tensor)]) -> Result<Vec<u8>, Failure> {
    let failed = |e: &dyn std::fmt::Display| Failure::new(Code::File, e.to_string());
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        .large_file(true);
    for (name, t) in tensors {
        archive.start_file(format!("{name}.npy"), stored).map_err(|e| failed(&e))?;
        std::io::Write::write_all(&mut archive, &encode(t)?).map_err(|e| failed(&e))?;
    }
    Ok(archive.finish().map_err(|e| failed(&e))?.into_inner())
}

/// The tensor in another element type: the nearest value.
pub(crate) fn converted(t: &Tensor, to: DType) -> Result<Tensor, Failure> {
    let from = t.dtype();
    let mut bytes = Vec::with_capacity(t.as_bytes().len() / from.size() * to.size());
    for element in t.as_bytes().chunks(from.size()) {
        let value = tcc_abi::Scalar::read(from, element);
        let value = tcc_abi::Scalar::from_f64(to, value.to_f64());
        let start = bytes.len();
        bytes.resize(start + to.size(), 0);
        value.write(&mut bytes[start..]);
    }
    Tensor::from_bytes(to, t.shape(), &bytes).map_err(|e| tcc::Error::from(e).into())
}
