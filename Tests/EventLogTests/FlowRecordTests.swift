// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import EventLog
import FirewallEngine
import FirewallPolicy
import Foundation
import PacketWire
import TestSupport
import Testing

@Suite("A connection that ended, as records tell it")
struct FlowRecordTests {
    private func closed(
        _ ending: ConnectionEnding = .fin, port: UInt16 = 40_112, packets: UInt64 = 5,
        stage: ConnectionStage = .established
    ) -> Event {
        var event = event(
            .connectionClosed, .ipv4(from: "198.51.100.9", to: "192.0.2.10").tcp(port, 443, []), action: .notice,
            at: .ms(2_000))
        var there = Traffic()
        var back = Traffic()
        (there.packets, there.bytes, back.packets, back.bytes) = (packets, 420, 4, 800)
        event.account = ConnectionAccount(
            ending: ending, stage: stage, opened: .ms(500), lastPacket: .ms(1_704), ofOriginator: there,
            ofResponder: back)
        return event
    }

    private func object(_ record: EventRecord, _ format: EventFormat = .json) throws -> [String: Any] {
        var resolver = someResolver()
        var text: [UInt8] = []
        format.append(resolver.fields(record, clockOffset: .zero), at: RecordPlace(sequence: 1), to: &text)
        return try #require(try JSONSerialization.jsonObject(with: Data(text)) as? [String: Any])
    }

    @Test("One has what EVE's flow events have, and how it ended")
    func one() throws {
        let object = try object(EventRecord(EventSummary(closed())))
        #expect(object["event_type"] as? String == "flow")
        let flow = try #require(object["flow"] as? [String: Any])
        #expect(flow["pkts_toserver"] as? Int == 5 && flow["bytes_toclient"] as? Int == 800)
        #expect(flow["age"] as? Int == 1 && flow["state"] as? String == "closed" && flow["reason"] == nil)
        let ours = try #require(object["portreeve"] as? [String: Any])
        #expect(ours["ended"] as? String == "fin" && ours["duration_ns"] as? Int == 1_204_000_000)
        #expect(ours["note"] as? String == "fin after 1.204 s: 5 packets (420 bytes) there, 4 (800) back")
        #expect(object["tcp"] == nil && object["frame"] == nil && object["drop"] == nil)
    }

    @Test("An idle one names the setting, in EVE's word a timeout; one of a stage that was never answered is new")
    func idle() throws {
        var event = closed(.idle, stage: .synSent)
        event.account?.ofResponder = Traffic()
        let object = try object(EventRecord(EventSummary(event)))
        let flow = try #require(object["flow"] as? [String: Any])
        #expect(flow["reason"] as? String == "timeout" && flow["state"] as? String == "new")
        #expect((object["portreeve"] as? [String: Any])?["timeout"] as? String == "engine.timeouts.syn-sent")
    }

    @Test("They are never folded: each has a record, whatever they have in common")
    func folding() {
        var folder = Folder(window: .seconds(1))
        var records: [EventRecord] = []
        for port in 0..<3000 { folder.add(closed(port: UInt16(1 + port)), into: &records) }
        #expect(records.count == 3000 && folder.isEmpty)
    }

    @Test("Merged for want of room, they are counted and summed up, and say only what is true of all")
    func merged() throws {
        var merged = MergedEvents()
        merged.merge(EventSummary(closed()))
        merged.merge(EventSummary(closed(.resetByResponder, port: 40_113, packets: 7)))
        let summary = try #require(merged.summaries.first)
        #expect(merged.summaries.count == 1 && summary.count == 2)
        let object = try object(EventRecord(summary))
        let flow = try #require(object["flow"] as? [String: Any])
        #expect(flow["pkts_toserver"] as? Int == 12 && flow["bytes_toserver"] as? Int == 840)
        #expect(flow["start"] == nil && flow["state"] == nil && flow["reason"] == nil)
        let ours = try #require(object["portreeve"] as? [String: Any])
        #expect(ours["ended"] == nil && ours["duration_ns"] == nil && ours["count"] as? Int == 2)
        #expect(ours["note"] as? String == "2 connections: 12 packets (840 bytes) there, 8 (1600) back")
        let ecs = try self.object(EventRecord(summary), .ecs)
        #expect((ecs["network"] as? [String: Any])?["packets"] as? Int == 20)
        let ocsf = try self.object(EventRecord(summary), .ocsf)
        #expect(ocsf["activity_name"] as? String == "Close" && ocsf["duration"] == nil)
    }
}
