//! An einsum equation on tensors: `cargo run -p tcc-examples --bin einsum`.

use tcc::{Compiler, Einsum, TensorView};

fn main() -> Result<(), tcc::Error> {
    let a = [1.0f64, 2.0, 3.0, 4.0, 5.0, 6.0];
    let b = [1.0f64, 0.0, 0.0, 1.0, 1.0, 1.0];
    let (a, b) = (TensorView::from_slice(&a, &[2, 3])?, TensorView::from_slice(&b, &[3, 2])?);

    let product = tcc::einsum("ij,jk->ik", &[a.clone(), b.clone()])?;
    println!("product      {:?}", product.as_slice::<f64>()?);
    assert_eq!(product.as_slice::<f64>()?, [4.0, 5.0, 10.0, 11.0]);

    // The shortest way from i to k over one j: sums become minima, products sums.
    let shortest =
        Einsum::parse("ij,jk->ik")?.semiring("minplus").evaluate(&Compiler::host(), &[a, b])?;
    println!("shortest way {:?}", shortest.as_slice::<f64>()?);
    assert_eq!(shortest.as_slice::<f64>()?, [2.0, 1.0, 5.0, 4.0]);
    Ok(())
}

#[test]
fn runs() -> Result<(), tcc::Error> {
    main()
}
