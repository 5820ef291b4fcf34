//! `options` of a submit: how the picture is to be made; and what was made of them.

use irisflow_jobs::{Background, Outline, PictureOptions, PictureSize, Preset};
use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// How the picture is to be made. What is left out follows the defaults.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PictureOptionsBody {
    /// Left out: `round` where enough of the iris is seen to complete the rest, else `visible`; where both can be
    /// made both are kept, the second as `alternative`. A round outline that cannot be completed becomes the
    /// visible one.
    #[serde(skip_serializing_if = "Option::is_none")]
    outline: Option<OutlineName>,
    /// Width and height in pixels; by default 2048.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<PictureSizeBody>,
    /// By default `black`.
    #[serde(skip_serializing_if = "Option::is_none")]
    background: Option<BackgroundName>,
    /// By default `natural`.
    #[serde(skip_serializing_if = "Option::is_none")]
    preset: Option<PresetName>,
}

/// `round`: a full disc, where what lids hide is completed from the texture of the same iris. `visible`: what the
/// photo shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OutlineName {
    Round,
    Visible,
}

/// What surrounds the iris. With `transparent` the picture is a PNG, else a JPEG.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BackgroundName {
    Black,
    White,
    Transparent,
    Photo,
}

/// `natural`: the person's own colours and light. `vivid`: more contrast and colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PresetName {
    Natural,
    Vivid,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum PictureSizeBody {
    Pixels(u32),
    Named(AutoSize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AutoSize {
    Auto,
}

impl PartialSchema for PictureSizeBody {
    fn schema() -> RefOr<Schema> {
        let pixels = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(PictureSize::LEAST))
            .maximum(Some(PictureSize::MOST));
        let auto = ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(["auto"]))
            .description(Some("As many pixels as the photo has of the iris."));
        OneOfBuilder::new().item(pixels).item(auto).into()
    }
}

impl ToSchema for PictureSizeBody {}

impl<'de> Deserialize<'de> for PictureSizeBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        if value == "auto" {
            return Ok(Self::Named(AutoSize::Auto));
        }
        // JSON does not tell `2048.0` from `2048`.
        let whole = value.as_f64().filter(|pixels| pixels.fract() == 0.0);
        match whole.and_then(|pixels| PictureSize::from_pixels(pixels as u64)) {
            Some(PictureSize::Pixels(pixels)) => Ok(Self::Pixels(pixels)),
            _ => Err(de::Error::custom(format!(
                "give a number of pixels from {} to {}, or \"auto\"",
                PictureSize::LEAST,
                PictureSize::MOST,
            ))),
        }
    }
}

impl From<PictureOptionsBody> for PictureOptions {
    fn from(body: PictureOptionsBody) -> Self {
        let default = Self::default();
        Self {
            outline: body.outline.map(|name| match name {
                OutlineName::Round => Outline::Round,
                OutlineName::Visible => Outline::Visible,
            }),
            size: body.size.map_or(default.size, |size| match size {
                PictureSizeBody::Pixels(pixels) => PictureSize::Pixels(pixels),
                PictureSizeBody::Named(AutoSize::Auto) => PictureSize::Auto,
            }),
            background: body
                .background
                .map_or(default.background, |name| match name {
                    BackgroundName::Black => Background::Black,
                    BackgroundName::White => Background::White,
                    BackgroundName::Transparent => Background::Transparent,
                    BackgroundName::Photo => Background::Photo,
                }),
            preset: body.preset.map_or(default.preset, |name| match name {
                PresetName::Natural => Preset::Natural,
                PresetName::Vivid => Preset::Vivid,
            }),
        }
    }
}

impl From<PictureOptions> for PictureOptionsBody {
    fn from(options: PictureOptions) -> Self {
        Self {
            outline: options.outline.map(OutlineName::from),
            size: Some(match options.size {
                PictureSize::Pixels(pixels) => PictureSizeBody::Pixels(pixels),
                PictureSize::Auto => PictureSizeBody::Named(AutoSize::Auto),
            }),
            background: Some(match options.background {
                Background::Black => BackgroundName::Black,
                Background::White => BackgroundName::White,
                Background::Transparent => BackgroundName::Transparent,
                Background::Photo => BackgroundName::Photo,
            }),
            preset: Some(match options.preset {
                Preset::Natural => PresetName::Natural,
                Preset::Vivid => PresetName::Vivid,
            }),
        }
    }
}

impl From<Outline> for OutlineName {
    fn from(outline: Outline) -> Self {
        match outline {
            Outline::Round => Self::Round,
            Outline::Visible => Self::Visible,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(value: serde_json::Value) -> Result<PictureOptions, String> {
        let body = serde_json::from_value::<PictureOptionsBody>(value);
        body.map(PictureOptions::from)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_left_out_follows_the_defaults() {
        assert_eq!(parsed(json!({})), Ok(PictureOptions::default()));
        let vivid = PictureOptions {
            preset: Preset::Vivid,
            ..PictureOptions::default()
        };
        assert_eq!(parsed(json!({ "preset": "vivid" })), Ok(vivid));
    }

    #[test]
    fn a_size_is_a_number_of_pixels_within_the_limits_or_auto() {
        for size in [json!(1024), json!(4096), json!("auto")] {
            let read = parsed(json!({ "size": size })).expect("a valid size");
            let echoed = serde_json::to_value(PictureOptionsBody::from(read)).expect("serializes");
            assert_eq!(echoed["size"], size);
        }
        assert_eq!(
            parsed(json!({ "size": 2048.0 })),
            Ok(PictureOptions::default())
        );
        for size in [
            json!(1023),
            json!(4097),
            json!(-1),
            json!("big"),
            json!(2048.5),
            json!([]),
        ] {
            let error = parsed(json!({ "size": size })).expect_err("an invalid size");
            assert_eq!(
                error,
                "give a number of pixels from 1024 to 4096, or \"auto\""
            );
        }
    }

    #[test]
    fn unknown_options_and_values_are_rejected_by_name() {
        let error = parsed(json!({ "colour": "blue" })).expect_err("an unknown option");
        assert!(error.contains("unknown field `colour`"), "{error}");
        let error = parsed(json!({ "background": "pink" })).expect_err("an unknown value");
        assert!(error.contains("unknown variant `pink`"), "{error}");
    }
}
