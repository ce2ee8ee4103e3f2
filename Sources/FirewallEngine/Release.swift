// SPDX-License-Identifier: GPL-3.0-or-later

/// The release that agent and tool are of.
public enum Release {
    public static let version = "0.1.0"
}
