//! How changes of settings are made, and watched.

use std::time::Duration;

use miroir_core::settings::Strategy;

use super::{Checker, SWITCH};
use crate::config::raw::{RawSettingsBroadcast, RawSettingsDriftCheck};
use crate::config::{DriftConfig, SettingsConfig};

/// A day: longer waits are a wrong unit.
const MAX_SECONDS: u64 = 86_400;
const MAX_RETRIES: u64 = 100;

const STRATEGIES: &[(&str, Strategy)] =
    &[("two_phase", Strategy::TwoPhase), ("sequential", Strategy::Sequential)];

impl Checker {
    pub(super) fn settings(
        &mut self,
        broadcast: &RawSettingsBroadcast,
        drift: &RawSettingsDriftCheck,
        defaults: &SettingsConfig,
    ) -> SettingsConfig {
        let mut seconds = |key, setting| self.number(key, setting, 1, MAX_SECONDS).map(Duration::from_secs);
        let verify_timeout =
            seconds("settings_broadcast.verify_timeout_s", broadcast.verify_timeout_s.as_ref());
        let interval = seconds("settings_drift_check.interval_s", drift.interval_s.as_ref());
        let mut switch = |key, setting| self.word(key, setting, SWITCH, &["true", "false"]);
        let freeze = switch(
            "settings_broadcast.freeze_writes_on_unrepairable",
            broadcast.freeze_writes_on_unrepairable.as_ref(),
        );
        let auto_repair = switch("settings_drift_check.auto_repair", drift.auto_repair.as_ref());
        let strategy = self.word(
            "settings_broadcast.strategy",
            broadcast.strategy.as_ref(),
            STRATEGIES,
            &["two_phase", "sequential"],
        );
        let retries = self.number(
            "settings_broadcast.max_repair_retries",
            broadcast.max_repair_retries.as_ref(),
            0,
            MAX_RETRIES,
        );
        SettingsConfig {
            strategy: strategy.unwrap_or(defaults.strategy),
            verify_timeout: verify_timeout.unwrap_or(defaults.verify_timeout),
            max_repair_retries: retries.unwrap_or(defaults.max_repair_retries),
            freeze_writes_on_unrepairable: freeze.unwrap_or(defaults.freeze_writes_on_unrepairable),
            drift: DriftConfig {
                interval: interval.unwrap_or(defaults.drift.interval),
                auto_repair: auto_repair.unwrap_or(defaults.drift.auto_repair),
            },
        }
    }
}
