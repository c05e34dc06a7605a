//! Views of memory that is not row-major, results in the caller's memory, arrays of `ndarray`:
//! `cargo run -p tcc-examples --bin strided_views`.

use ndarray::array;
use tcc::{CallOptions, TensorView, TensorViewMut};

fn main() -> Result<(), tcc::Error> {
    let matmul = tcc::compile(
        "fn matmul(A: f64[M,K], B: f64[K,N]) -> (C: f64[M,N]) {
             C[m,n] = A[m,k] * B[k,n]
         }",
    )?;
    let a = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
    let transposed = a.t();
    let inputs = [TensorView::from(a.view()), TensorView::from(transposed)];

    // The result is written into every second element of a buffer.
    let mut buffer = [0.0f64; 8];
    let mut outputs = [TensorViewMut::strided(&mut buffer, &[2, 2], &[4, 2], 0)?];
    matmul.run_into(&inputs, &mut outputs, &CallOptions::default())?;
    println!("{buffer:?}");
    assert_eq!(buffer, [14.0, 0.0, 32.0, 0.0, 32.0, 0.0, 77.0, 0.0]);
    Ok(())
}

#[test]
fn runs() -> Result<(), tcc::Error> {
    main()
}
