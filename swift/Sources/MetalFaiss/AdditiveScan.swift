import CMetalFaiss
import CPUKernels

extension CodeScan {
  /// Scans codes of an additive quantizer by tables of products. False where they are decoded: to compare what they
  /// stand for by L2, or because they are few.
  func scanAdditive(_ item: ListScan.Item, _ order: UnsafePointer<UInt32>, _ workspace: Workspace) throws -> Bool {
    guard let additive = codec.additive?.plain else { return false }
    let inner = search.request.metric == MF_INNER_PRODUCT.rawValue
    let isCoded = !inner && cpu_norm_is_coded(additive.pointee.norm)
    guard inner || isCoded else { return false }
    let hasTerms = isCoded && additive.pointee.norm == CPU_NORM_FLOAT.rawValue
    var columns = cpu_additive_columns(additive, inner)
    return try withUnsafePointer(to: &columns) { columns in
      let tables = Tables(
        columns: columns, scratch: cpu_additive_scratch(additive, columns),
        pack: { base, chunk, terms in cpu_additive_pack(additive, columns, base, &chunk, hasTerms ? terms : nil) },
        scan: { scan, order, count, chunk, terms, farthest, scratch in
          cpu_additive_scan(
            scan, additive, columns, order, count, &chunk, hasTerms ? terms : nil, farthest, scratch)
        }, mayDecode: !isCoded)
      return try scanTables(tables, item, order, workspace)
    }
  }
}
