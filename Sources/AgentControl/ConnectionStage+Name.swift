// SPDX-License-Identifier: GPL-3.0-or-later

package import ConnectionTracking

extension ConnectionStage {
    /// As `portreeve connections` prints it; TCP's are the names of RFC 9293 section 3.3.2.
    package var name: String {
        switch self {
        case .synSent: "SYN-SENT"
        case .synReceived: "SYN-RECEIVED"
        case .established: "ESTABLISHED"
        case .finWait1: "FIN-WAIT-1"
        case .finWait2: "FIN-WAIT-2"
        case .closeWait: "CLOSE-WAIT"
        case .closing: "CLOSING"
        case .lastACK: "LAST-ACK"
        case .timeWait: "TIME-WAIT"
        case .closed: "CLOSED"
        case .udp: "UNANSWERED"
        case .udpStream: "ANSWERED"
        case .icmp: "QUERY"
        case .refused: "REFUSED"
        }
    }

    /// The names of all, in the order of a connection's life.
    package static var names: [String] { allCases.map(\.name) }
}
