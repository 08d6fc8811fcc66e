// Walks of a graph.
#include "graph.h"

#include "cpu_pq.h"

// Tables of distances are made where walks look at so many nodes that these take longer.
#define MAX_TABLE 1024
// Rows computed at once while one that is too near ends the loop.
#define CHECKED 8

target graph_target(const cpu_graph *graph, const float *x) {
  if (graph->metric != CPU_COSINE) return (target){x, 1, NULL};
  double square = graph->kernels->pair(CPU_INNER_PRODUCT, 0, x, x, graph->d);
  return (target){x, square > 0 ? (float)(1 / sqrt(square)) : 0, NULL};
}

static const cpu_pq *product_of(const cpu_graph *graph) {
  return graph->codec && graph->codec->kind == CPU_CODEC_PRODUCT ? graph->codec->product : NULL;
}

// A walker's numbers: rows of two targets and one pair, rows of a group of codes, tables.
static float *group_of(const cpu_walker *walker, const cpu_graph *graph) { return walker->numbers + 3 * (size_t)graph->d; }

// Room for numbers, where rows are codes.
bool graph_make_room(cpu_walker *walker, const cpu_graph *graph) {
  if (graph->rows || walker->failed) return !walker->failed;
  const cpu_pq *pq = product_of(graph);
  uint64_t wanted = 3 * (uint64_t)graph->d + 16;
  if (pq) wanted += (uint64_t)CPU_DIRECT_ROWS * graph->d + (pq->ksub <= MAX_TABLE ? (uint64_t)pq->m * pq->stride : 0);
  if (wanted <= walker->numbers_size) return true;
  free(walker->numbers);
  walker->numbers = malloc(wanted * sizeof(float));
  walker->numbers_size = walker->numbers ? wanted : 0;
  walker->failed = !walker->numbers;
  return !walker->failed;
}

// A node's row; what its code stands for comes to `place`, 0 to 2.
const float *graph_row(const cpu_walker *walker, const cpu_graph *graph, uint32_t node, uint32_t place) {
  if (graph->rows) return graph->rows + (size_t)node * graph->d;
  float *row = walker->numbers + (size_t)place * graph->d;
  cpu_codec_decode(graph->kernels, graph->codec, graph->codes + node * graph->codec->code_size, 1, NULL, row);
  return row;
}

// A target that a walk compares with many nodes.
target graph_walk_target(const cpu_walker *walker, const cpu_graph *graph, const float *x) {
  target to = graph_target(graph, x);
  const cpu_pq *pq = product_of(graph);
  if (!pq || pq->ksub > MAX_TABLE) return to;
  float *tables = group_of(walker, graph) + (size_t)CPU_DIRECT_ROWS * graph->d;
  graph->kernels->pq->tables(pq, graph->metric != CPU_L2, 1, x, tables);
  to.tables = tables;
  return to;
}

// Keys of codes; keys has room for whole groups of four.
static void keys_of_codes(const cpu_walker *walker, const cpu_graph *graph, target to, const uint32_t *nodes,
                          uint32_t n, float *keys) {
  float squares[CPU_DIRECT_ROWS];
  const cpu_codec *codec = graph->codec;
  bool dot = graph->metric != CPU_L2;
  if (to.tables) {
    cpu_pq_sums(codec->product, to.tables, graph->codes, nodes, n, keys);
  } else if (codec->kind == CPU_CODEC_SCALAR) {
    cpu_scalar_table(graph->kernels)->direct(codec, graph->codes, nodes, n, NULL, dot, &to.x, 1, keys, squares);
  } else {
    float *group = group_of(walker, graph);
    for (uint32_t i = 0; i < n; i++)
      cpu_codec_decode(graph->kernels, codec, graph->codes + nodes[i] * codec->code_size, 1, NULL,
                       group + (size_t)i * graph->d);
    if (dot)
      graph->kernels->direct_dot(group, NULL, n, 0, &to.x, 1, graph->d, keys, squares);
    else
      graph->kernels->direct_l2(group, NULL, n, 0, &to.x, 1, graph->d, keys);
  }
}

// Keys of n nodes; keys has room for whole groups of CPU_DIRECT_ROWS.
void graph_keys(cpu_walker *walker, const cpu_graph *graph, target to, const uint32_t *nodes, uint32_t n,
                    float *keys) {
  const cpu_kernels *kernels = graph->kernels;
  float squares[CPU_DIRECT_ROWS];
  walker->computed += n;
  for (uint32_t at = 0; at < n; at += CPU_DIRECT_ROWS) {
    uint32_t part = n - at < CPU_DIRECT_ROWS ? n - at : CPU_DIRECT_ROWS;
    float *out = keys + at;
    if (!graph->rows) {
      keys_of_codes(walker, graph, to, nodes + at, part, out);
    } else if (graph->metric == CPU_L2) {
      kernels->direct_l2(graph->rows, nodes + at, part, 0, &to.x, 1, graph->d, out);
    } else if (graph->metric == CPU_INNER_PRODUCT || graph->metric == CPU_COSINE) {
      kernels->direct_dot(graph->rows, nodes + at, part, 0, &to.x, 1, graph->d, out, squares);
      if (graph->metric == CPU_COSINE)
        for (uint32_t i = 0; i < part; i++) out[i] = squares[i] > 0 ? out[i] * to.scale / sqrtf(squares[i]) : 0;
    } else {
      float sign = cpu_is_similarity(graph->metric) ? -1 : 1;
      for (uint32_t i = 0; i < part; i++)
        out[i] = sign * (float)kernels->pair(graph->metric, graph->metric_arg, to.x,
                                             graph->rows + (size_t)nodes[at + i] * graph->d, graph->d);
    }
  }
}

// Room for more words, by half again at least.
bool graph_reserve(cpu_walker *walker, uint64_t **words, uint64_t *size, uint64_t wanted) {
  if (wanted <= *size) return true;
  if (wanted < *size + *size / 2) wanted = *size + *size / 2;
  uint64_t *larger = realloc(*words, wanted * 8);
  if (!larger) {
    walker->failed = true;
    return false;
  }
  *words = larger, *size = wanted;
  return true;
}

// Starts a walk: nothing was seen.
bool graph_begin(cpu_walker *walker, const cpu_graph *graph, uint64_t near) {
  if (walker->failed || !graph_reserve(walker, &walker->near, &walker->near_size, near)) return false;
  if (walker->seen_size < graph->count) {
    uint64_t size = graph->count + graph->count / 8;
    free(walker->seen);
    walker->seen = calloc(size, 1);
    walker->seen_size = walker->seen ? size : 0;
    walker->failed = !walker->seen;
    walker->mark = 0;
    if (walker->failed) return false;
  }
  if (++walker->mark == 0) {
    memset(walker->seen, 0, walker->seen_size);
    walker->mark = 1;
  }
  return true;
}

static void prefetch_links(const cpu_graph *graph, uint32_t node, uint32_t level) {
  if (graph->file) {
    // Their place is in memory that may not be near either.
    __builtin_prefetch(graph->file->offsets + (size_t)node * 8);
    return;
  }
  const char *links = (const char *)cpu_links(graph, node, level);
  for (size_t at = 0; at < cpu_links_of(graph, level) * 4; at += 64) __builtin_prefetch(links + at);
}

// Links that were not seen yet of a node whose graph is in a file: they may be anything.
static uint32_t gather_file(cpu_walker *walker, const cpu_graph *graph, uint32_t node, uint32_t level,
                            uint32_t *fresh) {
  const uint8_t *links = cpu_file_links(graph, node, level);
  uint32_t most = links ? cpu_links_of(graph, level) : 0, n = 0;
  walker->lost |= !links;
  for (uint32_t i = 0; i < most; i++) {
    uint32_t other;
    memcpy(&other, links + (size_t)i * 4, 4);
    if (other == CPU_NO_NODE) break;
    if (other >= graph->count) {
      walker->lost = true;
      break;
    }
    if (!is_new(walker, other)) continue;
    prefetch_row(graph, other);
    fresh[n++] = other;
  }
  return n;
}

// A node's links that were not seen yet.
uint32_t graph_gather(cpu_walker *walker, const cpu_graph *graph, uint32_t node, uint32_t level, uint32_t *fresh) {
  if (graph->file) return gather_file(walker, graph, node, level, fresh);
  const uint32_t *links = cpu_links(graph, node, level);
  uint32_t most = cpu_links_of(graph, level), n = 0;
  for (uint32_t i = 0; i < most && links[i] != CPU_NO_NODE; i++) {
    if (!is_new(walker, links[i])) continue;
    prefetch_row(graph, links[i]);
    fresh[n++] = links[i];
  }
  return n;
}

// The ef nodes of a level that are nearest, as far as a walk from those in the list finds them; it ends where
// it has left so many of them.
uint32_t graph_walk(cpu_walker *walker, const cpu_graph *graph, target to, uint32_t level, uint32_t ef,
                     uint32_t count, uint32_t steps) {
  uint32_t fresh[MAX_ROW];
  float keys[MAX_ROW + CPU_DIRECT_ROWS];
  uint64_t *near = walker->near;
  for (uint32_t at = 0; at < count;) {
    if (near[at] & 1) {
      at++;
      continue;
    }
    near[at] |= 1;
    if (steps-- == 0) break;
    uint32_t n = graph_gather(walker, graph, node_in(walker, near[at]), level, fresh);
    uint32_t next = at + 1;
    while (next < count && near[next] & 1) next++;
    if (next < count) prefetch_links(graph, node_in(walker, near[next]), level);
    graph_keys(walker, graph, to, fresh, n, keys);
    for (uint32_t i = 0; i < n; i++) {
      uint64_t item = pack(walker, keys[i], fresh[i]);
      uint32_t place = insert(near, &count, ef, item);
      if (place < next && place < ef) next = place;
      if (walker->collects > 0) insert(walker->queue, &walker->collected, walker->collects, item);
    }
    at = next;
  }
  return count;
}

static uint64_t start(cpu_walker *walker, const cpu_graph *graph, target to, uint32_t node) {
  float key[CPU_DIRECT_ROWS];
  graph_keys(walker, graph, to, &node, 1, key);
  return pack(walker, key[0], node);
}

// The nearest node that greedy walks from the entry find above a level, as an item.
uint64_t graph_descend(cpu_walker *walker, const cpu_graph *graph, target to, uint32_t level) {
  uint64_t nearest = start(walker, graph, to, graph->entry);
  for (uint32_t above = graph->file ? graph->file->top : graph->levels[graph->entry]; above > level; above--) {
    if (!graph_begin(walker, graph, 1)) return nearest;
    walker->near[0] = nearest;
    is_new(walker, node_in(walker, nearest));
    graph_walk(walker, graph, to, above, 1, 1, UINT32_MAX);
    nearest = walker->near[0] & ~1ull;
  }
  return nearest;
}
uint32_t graph_begin_at(cpu_walker *walker, const cpu_graph *graph, target to, const uint32_t *starts, uint32_t count,
                        uint32_t ef) {
  float keys[CPU_DIRECT_ROWS];
  uint32_t kept = 0;
  if (!graph_begin(walker, graph, ef)) return 0;
  for (uint32_t at = 0; at < count; at += CPU_DIRECT_ROWS) {
    uint32_t n = count - at < CPU_DIRECT_ROWS ? count - at : CPU_DIRECT_ROWS;
    for (uint32_t i = 0; i < n; i++) prefetch_row(graph, starts[at + i]);
    graph_keys(walker, graph, to, starts + at, n, keys);
    for (uint32_t i = 0; i < n; i++)
      if (is_new(walker, starts[at + i])) insert(walker->near, &kept, ef, pack(walker, keys[i], starts[at + i]));
  }
  return kept;
}

// Whether a candidate is nearer to one of those kept than to the node that chooses.
static bool is_covered(cpu_walker *walker, const cpu_graph *graph, uint64_t item, const uint32_t *kept, uint32_t count) {
  float keys[CPU_DIRECT_ROWS];
  target to = graph_target(graph, graph_row(walker, graph, node_in(walker, item), 1));
  float key = key_in(item);
  for (uint32_t at = 0; at < count; at += CHECKED) {
    uint32_t n = count - at < CHECKED ? count - at : CHECKED;
    graph_keys(walker, graph, to, kept + at, n, keys);
    for (uint32_t i = 0; i < n; i++)
      if (keys[i] < key) return true;
  }
  return false;
}
// Adds to `kept` those of sorted candidates that no kept one covers.
uint32_t graph_choose(cpu_walker *walker, const cpu_graph *graph, const uint64_t *near, uint32_t count, uint32_t *kept,
                       uint32_t n, uint32_t most) {
  for (uint32_t i = 0; i < count && n < most; i++) {
    if (i + 1 < count) prefetch_row(graph, node_in(walker, near[i + 1]));
    if (!is_covered(walker, graph, near[i], kept, n)) kept[n++] = node_in(walker, near[i]);
  }
  return n;
}
void cpu_walker_free(cpu_walker *walker) {
  free(walker->seen);
  free(walker->near);
  free(walker->queue);
  free(walker->numbers);
  *walker = (cpu_walker){0};
}
