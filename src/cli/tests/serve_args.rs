//! The flags of `cenote serve`, and how the settings are printed.

use super::super::config::{ConfigFormat, print_config};
use super::super::error::one_line;
use super::super::serve::ServeArgs;
use clap::{Args, Command, FromArgMatches};

fn parse(args: &[&str]) -> Result<ServeArgs, clap::Error> {
    let command = ServeArgs::augment_args(Command::new("serve"));
    let args = ["serve"].iter().chain(args);
    ServeArgs::from_arg_matches(&command.try_get_matches_from(args)?)
}

#[test]
fn every_setting_is_a_flag_and_its_help_names_the_variable() {
    let help = ServeArgs::augment_args(Command::new("serve")).render_long_help().to_string();
    for setting in crate::config::SETTINGS {
        assert!(help.contains(&format!("--{} ", setting.key)), "{} is no flag", setting.key);
        assert!(help.contains(&setting.variable()), "{} is not in the help", setting.variable());
        let value = "x";
        parse(&[&format!("--{}", setting.key), value]).expect(setting.key);
    }
}

#[test]
fn a_flag_goes_before_the_environment() {
    let env = |name: &str| (name == "CENOTE_PARTITIONS").then(|| "3".to_owned());
    let (config, _) = parse(&["--partitions", "6"]).unwrap().resolve(&env).unwrap();
    assert_eq!(config.topics.num_partitions, 6);
    let (config, _) = parse(&[]).unwrap().resolve(&env).unwrap();
    assert_eq!(config.topics.num_partitions, 3);
}

#[test]
fn an_unknown_flag_is_one_line() {
    let line = one_line(&parse(&["--flush-intervall", "0"]).unwrap_err().to_string());
    assert!(line.starts_with("unexpected argument '--flush-intervall' found"), "{line}");
    assert!(!line.contains('\n'));
}

#[test]
fn the_settings_are_printed_with_their_sources() {
    let (_, sources) = parse(&["--http", "off"]).unwrap().resolve(&|_| None).unwrap();
    let mut human = Vec::new();
    print_config(&mut human, &sources, ConfigFormat::Human).unwrap();
    let human = String::from_utf8(human).unwrap();
    let http = human.lines().find(|line| line.starts_with("http ")).unwrap();
    assert_eq!(http.split_whitespace().collect::<Vec<_>>(), ["http", "off", "flag"]);
    let columns = |line: &str| (line.find("VALUE"), line.find("SOURCE"));
    let (Some(value), Some(source)) = columns(human.lines().next().unwrap()) else { panic!("{human}") };
    for line in human.lines() {
        let starts = |column: usize| line[..column].ends_with("  ") && !line[column..].starts_with(' ');
        assert!(starts(value) && starts(source), "the columns are as wide as what stands in them: {human}");
    }
    let key = human.lines().find(|line| line.starts_with("tls-key ")).unwrap();
    assert_eq!(key.split_whitespace().collect::<Vec<_>>(), ["tls-key", "-", "default"]);

    let mut text = Vec::new();
    print_config(&mut text, &sources, ConfigFormat::Json).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(json["http"]["source"], "flag");
    assert_eq!(json["listen"]["value"][0], "tcp://127.0.0.1:9092");
    assert_eq!(json["tls-key"]["value"], serde_json::Value::Null);
}
