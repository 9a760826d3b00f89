//! Steps of which nobody knows whether they were kept.

use std::future::Future;
use std::time::Duration;

use crate::StoreError;

/// How often a step is repeated. An engine that does not say for longer than that is away.
const REPEATS: u32 = 5;

/// The first pause; each one is twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(20);

/// Repeats a step as long as nobody knows whether it was kept, a few times within a second: every step can be repeated.
///
/// # Errors
/// What the step answers; [`StoreError::Unknown`] if it stays unknown.
pub async fn until_known<T, F>(mut step: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut pause = PAUSE;
    for _ in 0..REPEATS {
        match step().await {
            Err(StoreError::Unknown(reason)) => {
                tracing::warn!(reason, "the state store did not say whether it kept a step; taking it again");
            }
            known => return known,
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    step().await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn a_step_is_repeated_until_somebody_knows_and_not_for_ever() {
        let taken = Cell::new(0);
        let step = |lost: u32| {
            taken.set(taken.get() + 1);
            let answer =
                if taken.get() > lost { Ok(taken.get()) } else { Err(StoreError::Unknown(String::new())) };
            std::future::ready(answer)
        };
        assert_eq!(until_known(|| step(2)).await, Ok(3));
        taken.set(0);
        assert!(matches!(until_known(|| step(u32::MAX)).await, Err(StoreError::Unknown(_))));
        assert_eq!(taken.get(), REPEATS + 1);
        let full = || std::future::ready(Err::<(), _>(StoreError::Full));
        assert_eq!(until_known(full).await, Err(StoreError::Full));
    }
}
