//! One executable for all sizes, weights bound once, a budget, and an error that names what is
//! wrong: `cargo run -p tcc-examples --bin symbolic_sizes`.

use tcc::{Budget, CallOptions, TensorView};

fn main() -> Result<(), tcc::Error> {
    let layer = tcc::compile(
        "fn layer(X: f32[B,D], param W: f32[H,D], param C: f32[H]) -> (Y: f32[B,H]) {
             Y[b,h] = relu(X[b,d] * W[h,d] + C[h])
         }",
    )?;
    let weights = [1.0f32, -1.0, 0.5, 2.0, 0.0, -3.0];
    let offsets = [0.0f32, 1.0];
    let bound = layer.bind(&[
        ("W", TensorView::from_slice(&weights, &[2, 3])?),
        ("C", TensorView::from_slice(&offsets, &[2])?),
    ])?;
    let options = CallOptions {
        budget: Budget { memory: Some(1 << 20), ..Budget::default() },
        ..CallOptions::default()
    };
    for batch in [0, 1, 3] {
        let x = vec![1.0f32; batch * 3];
        let y = bound.run(&[TensorView::from_slice(&x, &[batch, 3])?], &options)?;
        println!("{batch} rows: {:?}", y[0].as_slice::<f32>()?);
        assert_eq!(y[0].shape(), [batch, 2]);
    }

    let wrong = [1.0f32; 4];
    let failed = bound.run(&[TensorView::from_slice(&wrong, &[1, 4])?], &options);
    let message = failed.expect_err("W has 3 columns, the input 4").to_string();
    println!("{message}");
    assert!(message.contains('W') && message.contains("[1, 4]"));
    Ok(())
}

#[test]
fn runs() -> Result<(), tcc::Error> {
    main()
}
